# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whose TIME_WAIT it is: each one that real programs leave behind is told to be of the process
that closed first, with its command and cgroup, whether it still runs or not.
"""

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from command import TIMEOUT_S, run_inside
from ledger import Ledger, bpftool
from peers import PYTHON, Peer, cgroup, pair

NGINX = """
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream pool {{ server 127.0.0.1:{keep}; keepalive 4; }}
    server {{ listen {keep} backlog=511; location / {{ return 200 "x"; }} }}
    server {{ listen {close}; keepalive_timeout 0; location / {{ return 200 "x"; }} }}
    server {{ listen {proxy}; location / {{ proxy_pass http://127.0.0.1:{keep}; }} }}
    server {{ listen {pooled};
        location / {{ proxy_pass http://pool; proxy_http_version 1.1;
                      proxy_set_header Connection ""; }} }}
}}
"""
NUMBERS = itertools.count(8001)  # TIME_WAITs of the tests before are still there
IS_TIME_WAIT = 1 << 3  # LP_LEDGER_TIME_WAIT
LONGEST_S = 124  # a minute as FIN_WAIT2, one as TIME_WAIT, and their timers late
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
# A busy machine takes its time to go on from these.
ON_THE_WAY = {"established", "syn-sent", "syn-recv", "fin-wait-1", "close-wait", "last-ack"}


class Filter(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("first", ctypes.c_void_p)]


class Nginx:
    """Where it listens, and the pids of its processes."""

    def __init__(self):
        self.keep, self.close, self.proxy, self.pooled = (next(NUMBERS) for _ in range(4))
        self.pids = set()


@contextlib.contextmanager
def nginx():
    """Two workers."""
    here = Nginx()
    with tempfile.TemporaryDirectory(prefix="lastport-nginx-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(folder=folder, **vars(here)))
        with subprocess.Popen(["nginx", "-p", folder, "-c", config]) as master:
            try:
                for port in (here.keep, here.close, here.proxy, here.pooled):
                    wait_for(lambda port=port: is_listening(port), f"port {port}")
                children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
                wait_for(lambda: len(children.read_text().split()) == 2, "the workers")
                here.pids = {master.pid, *map(int, children.read_text().split())}
                yield here
            finally:
                master.terminate()


def is_listening(port):
    """Looks without connecting, which would be remembered."""
    with open("/proc/self/net/tcp", encoding="ascii") as table:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
                   for line in table)


def wait_for(ready, what):
    deadline = time.monotonic() + TIMEOUT_S
    while not ready():
        if time.monotonic() > deadline:
            raise OSError(f"waited for {what}")
        time.sleep(0.01)


def closed(ledger, ports):
    """The sockets on these ports, either end, when no connection lives any more."""
    def of_ports():
        sockets, _ = ledger.tell()
        return [each for each in sockets
                if each["local"][1] in ports or each["remote"][1] in ports]
    wait_for(lambda: all(each["state"] not in ON_THE_WAY for each in of_ports()), "the last to close")
    return of_ports()


def expect(problems, what, found, expected):
    if found != expected:
        problems.append(f"{what}: {found!r}, expected {expected!r}")


def side(each, ports):
    return "server" if each["local"][1] in ports else "client"


def tally(sockets, ports, field="closer"):
    """{(side, command): how many}; a command of None: nobody is known."""
    return Counter((side(each, ports), (each.get(field) or {}).get("command"))
                   for each in sockets)


def pids(sockets, field="closer"):
    return Counter((each.get(field) or {}).get("pid") for each in sockets)


def run(*argv, **more):
    """Runs a program to its end; its pid."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          **more) as child:
        errors = child.communicate(timeout=TIMEOUT_S)[1]
    if child.returncode:
        raise OSError(f"{argv[0]}: status {child.returncode}: {errors.decode()[-300:]}")
    return child.pid


# ---- real programs -------------------------------------------------------------------------------

def curl_closes_first_and_is_gone(problems):
    with Ledger() as ledger, nginx() as server:
        curls = [run("curl", "--silent", f"http://127.0.0.1:{server.keep}/") for _ in range(12)]
        found = closed(ledger, {server.keep})
        expect(problems, "closed first", tally(found, {server.keep}), {("client", "curl"): 12})
        expect(problems, "opened", tally(found, {server.keep}, "opener"), {("client", "curl"): 12})
        expect(problems, "pids", pids(found), {pid: 1 for pid in curls})


def nginx_closes_first(problems):
    with Ledger() as ledger, nginx() as server:
        for _ in range(12):
            with socket.create_connection(("127.0.0.1", server.close)) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                while client.recv(4096):
                    pass
        found = closed(ledger, {server.close})
        expect(problems, "closed first", tally(found, {server.close}), {("server", "nginx"): 12})
        if not set(pids(found)) <= server.pids:
            problems.append(f"{pids(found)}: not nginx's {server.pids}")
        opened = [each for each in found if each.get("opener")]
        expect(problems, "accepted, yet opened by", opened, [])


def a_proxy_opens_to_the_one_behind_it(problems):
    with Ledger() as ledger, nginx() as server:
        for _ in range(9):
            run("curl", "--silent", f"http://127.0.0.1:{server.proxy}/")
        found = closed(ledger, {server.keep, server.proxy})
        behind = [each for each in found if server.keep in (each["local"][1], each["remote"][1])]
        # both ends are there of one that both close at once
        connections = {frozenset((tuple(each["local"]), tuple(each["remote"]))) for each in behind}
        expect(problems, "how many are behind it", len(connections), 9)
        expect(problems, "who closed those", {key[1] for key in tally(behind, {server.keep})}, {"nginx"})
        expect(problems, "who closed", tally([each for each in found if each not in behind],
                                             {server.proxy}), {("client", "curl"): 9})
        if not set(pids(behind)) <= server.pids:
            problems.append(f"{pids(behind)}: not nginx's {server.pids}")


def a_pool_that_ends_with_its_connections_open(problems):
    with Ledger() as ledger, nginx() as server:
        wrk = run("wrk", "--threads", "2", "--connections", "40", "--duration", "1",
                  f"http://127.0.0.1:{server.pooled}/")
        found = closed(ledger, {server.pooled})
        # nginx closes one that had a thousand requests; one with an answer unread is reset
        sides = tally(found, {server.pooled})
        if not set(sides) <= {("server", "nginx"), ("client", "wrk")}:
            problems.append(f"{sides}: neither nginx nor wrk")
        if not set(pids(found)) <= server.pids | {wrk}:
            problems.append(f"{pids(found)}: neither {wrk} nor {server.pids}")
        check_the_pool(problems, ledger, server)


def check_the_pool(problems, ledger, server):
    """Behind the proxy: what its pool of four has closed; the idle ones stay open."""
    found = [each for each in ledger.tell()[0] if each["state"] == "time-wait"
             and server.keep in (each["local"][1], each["remote"][1])]
    print(f"# behind the pool {len(found)} TIME_WAITs")
    if not found or not set(pids(found)) <= server.pids:
        problems.append(f"{len(found)} of {pids(found)}: not nginx's {server.pids}")


# What http.Transport of Go does: as many connections as asked for, of which so many are kept.
POOL = """
import http.client, sys, threading
idle, lock, port, kept = [], threading.Lock(), int(sys.argv[1]), 2
def work():
    for i in range(10):
        with lock:
            connection = idle.pop() if idle else None
        connection = connection or http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        connection.getresponse().read()
        with lock:
            if len(idle) < kept:
                idle.append(connection)
                continue
        connection.close()
threads = [threading.Thread(target=work) for i in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
"""


def a_pool_that_keeps_few(problems):
    with Ledger() as ledger, nginx() as server:
        pid = run(PYTHON, "-c", POOL, str(server.keep))
        found = closed(ledger, {server.keep})
        name = Path(PYTHON).name
        expect(problems, "who closed", tally(found, {server.keep}), {("client", name): len(found)})
        expect(problems, "who opened", pids(found, "opener"), {pid: len(found)})
        if not found:  # how many were one too many depends on how the threads took turns
            problems.append("no connection of the pool was closed")


# ---- processes -----------------------------------------------------------------------------------

WORKERS = """
import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(64)
children = []
for i in range(3):
    pid = os.fork()
    if pid == 0:
        for j in range(5):
            listener.accept()[0].close()
        os._exit(0)
    children.append(pid)
print(*children, flush=True)
for child in children:
    os.waitpid(child, 0)
"""


def forked_workers_each_for_itself(problems):
    port = 8101
    with Ledger() as ledger, subprocess.Popen([PYTHON, "-c", WORKERS, str(port)], text=True,
                                              stdout=subprocess.PIPE) as server:
        workers = list(map(int, server.stdout.readline().split()))
        for _ in range(15):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.recv(1)
        server.wait(TIMEOUT_S)
        found = closed(ledger, {port})
        expect(problems, "who closed", pids(found), {worker: 5 for worker in workers})
        expect(problems, "the side", {side(each, {port}) for each in found}, {"server"})


CHILD_CLOSES = """
import os, socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
pid = os.fork()
if pid == 0:
    client.shutdown(socket.SHUT_WR)
    os._exit(0)
print(pid, flush=True)
os.waitpid(pid, 0)
"""


def one_opens_and_its_child_closes(problems):
    with Ledger() as ledger, socket.create_server(("127.0.0.1", next(NUMBERS))) as listener:
        port = listener.getsockname()[1]
        with subprocess.Popen([PYTHON, "-c", CHILD_CLOSES, str(port)], text=True,
                              stdout=subprocess.PIPE) as client:
            with listener.accept()[0] as server:
                server.recv(1)
            child = int(client.stdout.readline())
        found = closed(ledger, {port})
        expect(problems, "who opened, who closed", (pids(found, "opener"), pids(found)),
               ({client.pid: 1}, {child: 1}))


def an_end_without_close_is_told(problems):
    with Ledger() as ledger, socket.create_server(("127.0.0.1", next(NUMBERS))) as listener:
        port = listener.getsockname()[1]
        for how in ("os._exit(0)", "os.kill(os.getpid(), 9)"):
            with subprocess.Popen([PYTHON, "-c", "import os, socket, sys\nkept = socket."
                                   f"create_connection(('127.0.0.1', {port}))\n{how}"]) as client:
                with listener.accept()[0] as server:
                    server.recv(1)
            found = [each for each in closed(ledger, {port})
                     if (each.get("closer") or {}).get("pid") == client.pid]
            expect(problems, how, [each["exited"] for each in found], [True])
        expect(problems, "all", len(closed(ledger, {port})), 2)


EXEC = """
import os, socket, sys
port = int(sys.argv[1])
socket.create_connection(("127.0.0.1", port)).close()
os.execvp("curl", ["curl", "--silent", "--http0.9", f"http://127.0.0.1:{port}/"])
"""


def the_name_is_that_of_the_program_that_closed(problems):
    """A process that begins another program: its pid stays."""
    with Ledger() as ledger, nginx() as server:
        pid = run(PYTHON, "-c", EXEC, str(server.keep))
        found = closed(ledger, {server.keep})
        expect(problems, "pids", pids(found), {pid: 2})
        if ("client", "curl") not in tally(found, {server.keep}):
            problems.append(f"{tally(found, {server.keep})}: curl was the last")


def two_cgroups_with_the_same_command(problems):
    with contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(cgroup(name))[0] for name in ("one", "two"))
        ledger = stack.enter_context(Ledger())
        numbers = {one.stat().st_ino: 4, two.stat().st_ino: 7}
        with pair([(4, {"cgroup": one}), (7, {"cgroup": two})]) as (port, server, *clients):
            for client, n in zip(clients, (4, 7)):
                client.do("close", n)
            server.do("close", 11)
            found = closed(ledger, {port})
            expect(problems, "cgroups", Counter(each["closer"]["cgroup_id"] for each in found),
                   numbers)
            expect(problems, "commands", len({each["closer"]["command"] for each in found}), 1)


# ---- ways to close -------------------------------------------------------------------------------

def both_families_and_both_sides(problems):
    for address in ("127.0.0.2", "::1"):
        for first in ("client", "server"):
            with Ledger() as ledger, pair([(9, {})], server_address=address) as (port, *ends):
                server, client = ends
                for end in (client, server) if first == "client" else (server, client):
                    end.do("close", 9)
                found = closed(ledger, {port})
                pid = client.pid if first == "client" else server.pid
                expect(problems, f"{address}, {first} first",
                       Counter((each["state"], side(each, {port}), each["closer"]["pid"])
                               for each in found), {("time-wait", first, pid): 9})


def one_side_closes_and_the_other_does_not(problems):
    """FIN_WAIT2: of a process first, then kept by the kernel like a TIME_WAIT."""
    with Ledger() as ledger, pair([(6, {})]) as (port, _, client):
        client.do("close", 6)

        def closing():
            return [each for each in ledger.tell()[0] if port == each["remote"][1]]
        wait_for(lambda: all(each["state"] == "fin-wait-2" for each in closing()), "FIN_WAIT2")
        found = closing()
        expect(problems, "who closed", Counter((each["state"], each["closer"]["pid"])
                                               for each in found), {("fin-wait-2", client.pid): 6})


def deaf(end, yes):
    """A filter that lets nothing in."""
    drop = (ctypes.c_uint64 * 1)(6)  # return 0 bytes
    program = Filter(1, ctypes.addressof(drop))
    if yes:
        end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))
    else:
        end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def both_sides_at_once(problems):
    with Ledger() as ledger, socket.create_server(("127.0.0.1", next(NUMBERS))) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server = listener.accept()[0]
        deaf(server, True)
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        wait_for(lambda: any(each["state"] == "closing" for each in ledger.tell()[0]), "CLOSING")
        deaf(server, False)
        wait_for(lambda: all(each["state"] == "time-wait" for each in ledger.tell()[0]),
                 "both TIME_WAITs")
        client.close()
        server.close()
        found = closed(ledger, {port})
        expect(problems, "who closed", pids(found), {os.getpid(): 2})
        expect(problems, "sides", sorted(side(each, {port}) for each in found),
               ["client", "server"])
        if not any(each["closed_both"] for each in found):
            problems.append(f"nobody is told that it was at once: {found}")


def a_second_close_before_the_first_is_acknowledged(problems):
    """The kernel tells both as the same change of state."""
    with Ledger() as ledger, socket.create_server(("127.0.0.1", next(NUMBERS))) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        with listener.accept()[0] as server:
            deaf(server, True)
            child = os.fork()
            if child == 0:
                client.shutdown(socket.SHUT_WR)
                os._exit(0)
            os.waitpid(child, 0)
            client.close()
            deaf(server, False)
            server.recv(1)
        found = closed(ledger, {port})
        expect(problems, "who closed", pids(found), {child: 1})
        counted = {each["pid"]: each["closed_first"] for each in ledger.show()["owners"]}
        expect(problems, "counted", counted, {os.getpid(): 0, child: 1})


def a_reset_leaves_nothing(problems):
    with Ledger() as ledger, socket.create_server(("127.0.0.1", next(NUMBERS))) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server = listener.accept()[0]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with contextlib.suppress(ConnectionResetError):
            server.recv(1)
        server.close()
        expect(problems, "left", closed(ledger, {port}), [])
        mine = [each for each in ledger.show()["owners"] if each["pid"] == os.getpid()]
        expect(problems, "counted", [(each["opened"], each["closed_first"]) for each in mine],
               [(1, 0)])


def what_nobody_accepted_is_its_listeners(problems):
    with Ledger() as ledger, Peer("127.0.0.1", 8201) as server:
        server.do("listen", 8)
        clients = [socket.create_connection(("127.0.0.1", 8201)) for _ in range(5)]
        for each in clients[:3]:
            each.close()
        server.child.kill()
        server.child.wait(TIMEOUT_S)
        for each in clients[3:]:
            each.close()
        found = [each for each in closed(ledger, {8201}) if each["state"] == "time-wait"]
        unknown = [each for each in found if not each.get("closer")]
        expect(problems, "nobody is known", unknown, [])


def threads_are_of_their_process(problems):
    with Ledger() as ledger, socket.create_server(("127.0.0.1", next(NUMBERS)), backlog=64) as listener:
        port = listener.getsockname()[1]
        def work():
            for _ in range(5):
                socket.create_connection(("127.0.0.1", port)).close()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for _ in range(20):
            listener.accept()[0].close()
        for each in threads:
            each.join(TIMEOUT_S)
        found = closed(ledger, {port})
        expect(problems, "who closed", pids(found), {os.getpid(): len(found)})
        owners = [each for each in ledger.show()["owners"] if each["pid"] == os.getpid()]
        expect(problems, "opened", sum(each["opened"] for each in owners), 20)


class Row(ctypes.Structure):
    """struct lp_ledger_socket of src/bpf/ledger.h."""
    _fields_ = [("cookie", ctypes.c_uint64), ("since", ctypes.c_uint64),
                ("opener", ctypes.c_uint32), ("closer", ctypes.c_uint32),
                ("txhash", ctypes.c_uint32), ("port", ctypes.c_uint16), ("flags", ctypes.c_uint8),
                ("zero", ctypes.c_uint8)]


def rows_of(ledger):
    """(key, row) of each socket that the ledger knows, of the whole machine."""
    dump = bpftool("map", "dump", "pinned", ledger.pinned("sockets"))
    rows = ((each["key"], Row.from_buffer(bytearray(int(byte, 16) for byte in each["value"])))
            for each in dump)
    return [(key, row) for key, row in rows if row.cookie]


def two_minutes_later(ledger):
    """Makes each TIME_WAIT that the ledger knows look older than one can be. How many."""
    steps = []
    for key, row in rows_of(ledger):
        if row.flags & IS_TIME_WAIT:
            row.since -= LONGEST_S * 10**9
            steps.append(" ".join(["map update pinned", str(ledger.pinned("sockets")), "key", *key,
                                   "value", *map(hex, bytes(row))]))
    bpftool("batch", "file", "-", input="\n".join(steps))
    return len(steps)


def not_over(ledger):
    """Rows of sockets that are there yet: not those of TIME_WAITs made to look old."""
    old = time.monotonic_ns() - LONGEST_S * 10**9
    return sum(not row.flags & IS_TIME_WAIT or row.since > old for _, row in rows_of(ledger))


def a_time_wait_that_is_over_takes_no_room(problems):
    with Ledger("--memory", "1") as ledger, pair([(200, {})]) as (port, server, client):
        client.do("close", 200)
        server.do("close", 200)
        closed(ledger, [port])
        over = two_minutes_later(ledger)
        # other programs of this machine are seen too
        before, used, after = not_over(ledger), sockets_used(ledger), not_over(ledger)
        slack = over // 2
        if over < 200 or not min(before, after) - slack <= used <= max(before, after) + slack:
            problems.append(f"{over} are over, {used} said to be used: {before} before, "
                            f"{after} after that")


def sockets_used(ledger):
    return next(table["used"] for table in ledger.show()["maps"] if table["name"] == "sockets")


TESTS = [
    curl_closes_first_and_is_gone,
    nginx_closes_first,
    a_proxy_opens_to_the_one_behind_it,
    a_pool_that_ends_with_its_connections_open,
    a_pool_that_keeps_few,
    forked_workers_each_for_itself,
    one_opens_and_its_child_closes,
    an_end_without_close_is_told,
    the_name_is_that_of_the_program_that_closed,
    two_cgroups_with_the_same_command,
    both_families_and_both_sides,
    one_side_closes_and_the_other_does_not,
    both_sides_at_once,
    a_second_close_before_the_first_is_acknowledged,
    a_reset_leaves_nothing,
    what_nobody_accepted_is_its_listeners,
    threads_are_of_their_process,
    a_time_wait_that_is_over_takes_no_room,
]

if __name__ == "__main__":
    sys.exit(run_inside(TESTS))
