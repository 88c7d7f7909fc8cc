# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connects that find no port are counted, each one, by who and to where and why; those that fail
for any other reason are not. And the search for a port is timed where it takes long, only there.
"""

import contextlib
import ctypes
import errno
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
from pathlib import Path

from command import SOURCE, TIMEOUT_S, Run, run_inside
from ledger import Ledger, bpftool

TIME_WAIT = os.environ.get("TIME_WAIT", str(SOURCE / "build/bench/time_wait"))
SYSCTL = Path("/proc/sys/net/ipv4")
LOW, PORTS = 40000, 16
N = 7
NUMBERS = itertools.count(2000)  # a port for each listener: none is met again
LINK_LOCAL = "fe80::77"
TO_NOBODY = "192.0.2.1"  # on a link that leads nowhere
AF_UNSPEC = struct.pack("=H14x", 0)
IP_BIND_ADDRESS_NO_PORT, TCP_FASTOPEN_CONNECT, MSG_FASTOPEN = 24, 30, 0x20000000
REFUSED = errno.EADDRNOTAVAIL
CRITICAL = 2  # check's exit status
LIBC = ctypes.CDLL(None)


def tcp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_STREAM)


class Listener:
    """Accepts nothing: the kernel does. Its connections last as long as it does."""

    def __init__(self, address="127.0.0.1"):
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = tcp(self.family)
        self.listener.bind((address, next(NUMBERS)))
        self.listener.listen(1000)
        self.where = self.listener.getsockname()[:2]
        self.held = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for each in (*self.held, self.listener):
            each.close()

    def fill(self, client_family=None, prefix=""):
        """Takes every port of the range."""
        for _ in range(PORTS):
            self.held.append(tcp(client_family or self.family))
            self.held[-1].connect((prefix + self.where[0], self.where[1]))


def refusals(ledger, where=None):
    """{why: refused} to one destination, or all, of this process, which must be the only one."""
    counted = {}
    for each in ledger.show()["refused"]:
        if where and (each["remote"], each["remote_port"]) != where:
            continue
        if each["pid"] != os.getpid() or not each["command"].startswith("python"):
            raise ValueError(f"refused to {each['command']} ({each['pid']})")
        counted[each["why"]] = counted.get(each["why"], 0) + each["refused"]
    return counted


def expect(problems, what, found, expected):
    if found != expected:
        problems.append(f"{what}: {found!r}, expected {expected!r}")


def connect(problems, client, where, expected):
    """connect(), whose error must be the expected one."""
    try:
        client.connect(where)
        got = 0
    except OSError as error:
        got = error.errno or type(error).__name__
    if got not in (expected if isinstance(expected, tuple) else (expected,)):
        problems.append(f"connect() to {where}: {got}, expected {expected}")


# ---- refused for want of a port ------------------------------------------------------------------

def each_way_of_connecting_is_counted(problems):
    for name, address, prefix, family in (
            ("IPv4", "127.0.0.1", "", socket.AF_INET),
            ("IPv6", "::1", "", socket.AF_INET6),
            ("mapped", "127.0.0.1", "::ffff:", socket.AF_INET6)):
        for blocking in (True, False):
            with Ledger() as ledger, Listener(address) as listener:
                listener.fill(family, prefix)
                for _ in range(N):
                    with tcp(family) as client:
                        client.setblocking(blocking)
                        connect(problems, client, (prefix + address, listener.where[1]), REFUSED)
                expect(problems, f"{name}, blocking {blocking}",
                       refusals(ledger, listener.where), {"no-port": N})
                expect(problems, f"{name}, all", refusals(ledger), {"no-port": N})


@contextlib.contextmanager
def links(*names):
    """Links that have one link-local address, all of them the same; their numbers."""
    for name in names:
        for command in (f"link add {name} type veth peer name {name}-end",
                        f"link set {name}-end up", f"link set {name} up",
                        f"-6 addr add {LINK_LOCAL}/64 dev {name} nodad"):
            subprocess.run(["ip", *command.split()], check=True)
    try:
        yield [socket.if_nametoindex(name) for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", name], check=True)


def for_and_against(address, port, env):
    """What explain says of a destination's ports."""
    run = Run("explain", "--json", "--netns", "self", f"[{address}]:{port}", env=env)
    cause = next(each for each in json.loads(run.out)["causes"] if each["kind"] == "local-ports")
    return " ".join(cause["for"]), " ".join(cause["against"])


def each_link_has_destinations_of_its_own(problems):
    port = next(NUMBERS)
    with links("one", "two") as numbers, Ledger() as ledger, contextlib.ExitStack() as stack:
        one, two = ((LINK_LOCAL, port, 0, number) for number in numbers)
        for where in (one, two):
            listener = stack.enter_context(tcp(socket.AF_INET6))
            listener.bind(where)
            listener.listen(PORTS)
        for _ in range(PORTS):
            stack.enter_context(tcp(socket.AF_INET6)).connect(one)
        for _ in range(N):
            with tcp(socket.AF_INET6) as client:
                connect(problems, client, one, REFUSED)
        with tcp(socket.AF_INET6) as client:
            connect(problems, client, two, 0)
        of_one, of_two = (f"{LINK_LOCAL}%{number}" for number in numbers)
        expect(problems, "refused", [refusals(ledger, (of, port)) for of in (of_one, of_two)],
               [{"no-port": N}, {}])
        expect(problems, "searched",
               [search_to(ledger, (of, port))["connects"] for of in (of_one, of_two)],
               [PORTS + N, 1])
        for asked in (f"{LINK_LOCAL}%one", of_one, LINK_LOCAL):
            told, against = for_and_against(asked, port, ledger.env)
            if f"{N} connects of" not in told or "refused" in against:
                problems.append(f"explain of {asked}: for {told!r}, against {against!r}")
        told, against = for_and_against(f"{LINK_LOCAL}%two", port, ledger.env)
        if "found no port" in told or "No such connect was refused" not in against:
            problems.append(f"explain of the other link: for {told!r}, against {against!r}")
        for asked, status in ((LINK_LOCAL, CRITICAL), (of_one, CRITICAL), (of_two, 0)):
            run = Run("check", "--netns", "self", "--to", f"[{asked}]:{port}", "--need", "1")
            problems.status(run, status)
        run = Run("status", "--json", "--netns", "self", env=ledger.env)
        found = [each["summary"] for each in json.loads(run.out)["findings"]
                 if each["id"] == "connects-refused"]
        if len(found) != 1 or f"[{of_one}]:{port}" not in found[0]:
            problems.append(f"findings: {found}")


def one_socket_that_tries_again_is_counted_each_time(problems):
    with Ledger() as ledger, Listener() as listener, tcp() as client:
        listener.fill()
        for _ in range(N):
            connect(problems, client, listener.where, REFUSED)
        with listener.held.pop() as last:  # a reset frees its port at once
            last.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connect(problems, client, listener.where, 0)
        expect(problems, "refused", refusals(ledger), {"no-port": N})


def a_socket_that_was_used_before_is_counted(problems):
    with Ledger() as ledger, Listener() as other, Listener() as listener:
        listener.fill()
        for _ in range(N):
            with tcp() as client:
                client.connect(other.where)
                client_disconnect(client)
                connect(problems, client, listener.where, REFUSED)
        expect(problems, "refused", refusals(ledger), {"no-port": N})


def client_disconnect(client):
    if LIBC.connect(client.fileno(), AF_UNSPEC, len(AF_UNSPEC)):
        raise OSError("connect() to AF_UNSPEC failed")


def a_port_of_ones_own_is_told_from_an_exhausted_range(problems):
    with Ledger() as ledger, Listener() as listener:
        for bound in (0, 30000):
            first = tcp()
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(("127.0.0.1", bound))
            first.connect(listener.where)
            listener.held.append(first)
            for _ in range(N):
                with tcp() as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    client.bind(first.getsockname())
                    connect(problems, client, listener.where, REFUSED)
        expect(problems, "bound", refusals(ledger), {"bound-port": 2 * N})
    with Ledger() as ledger, Listener() as listener:
        listener.fill()
        for _ in range(N):
            with tcp() as client:
                client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                client.bind(("127.0.0.1", 0))
                connect(problems, client, listener.where, REFUSED)
        expect(problems, "an address without a port", refusals(ledger), {"no-port": N})


def fast_open_is_counted(problems):
    (SYSCTL / "tcp_fastopen").write_text("3")
    with Ledger() as ledger, Listener() as listener:
        listener.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 10)
        listener.fill()
        for _ in range(N):
            with tcp() as client:
                client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
                connect(problems, client, listener.where, REFUSED)
            with tcp() as client:
                try:
                    client.sendto(b"x", MSG_FASTOPEN, listener.where)
                    problems.append("sendto() found a port")
                except OSError as error:
                    expect(problems, "sendto()", error.errno, REFUSED)
        expect(problems, "refused", refusals(ledger), {"no-port": 2 * N})


def fast_open_that_succeeds_is_not(problems):
    (SYSCTL / "tcp_fastopen").write_text("3")
    with Ledger() as ledger, Listener() as listener:
        listener.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 10)
        for _ in range(3):
            with tcp() as client:
                client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
                connect(problems, client, listener.where, 0)
                client.send(b"x")
                listener.held.append(listener.listener.accept()[0])
            with tcp() as client:  # no data: the SYN was never sent
                client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
                connect(problems, client, listener.where, 0)
        expect(problems, "refused", refusals(ledger), {})


# ---- failed for another reason -------------------------------------------------------------------

def what_nobody_listens_for_is_not_counted(problems):
    with Ledger() as ledger, Listener() as other:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"),
                                (socket.AF_INET6, "::ffff:127.0.0.1")):
            where = (address, next(NUMBERS))
            with tcp(family) as client:
                connect(problems, client, where, errno.ECONNREFUSED)
                connect(problems, client, where, errno.ECONNREFUSED)
            with tcp(family) as client:
                client.setblocking(False)
                connect(problems, client, where, (errno.EINPROGRESS, errno.ECONNREFUSED))
                select.select([], [client], [], TIMEOUT_S)
            with tcp() as client:  # one that was used before
                client.connect(other.where)
                client_disconnect(client)
                connect(problems, client, ("127.0.0.1", where[1]), errno.ECONNREFUSED)
            with tcp() as client:  # one that was bound
                client.bind(("127.0.0.1", 0))
                connect(problems, client, ("127.0.0.1", where[1]), errno.ECONNREFUSED)
        expect(problems, "refused", refusals(ledger), {})


@contextlib.contextmanager
def nowhere():
    """A link whose other end answers nothing."""
    for command in ("link add nowhere type veth peer name beyond", "link set beyond up", "addr add 192.0.2.2/24 dev nowhere",
                    "link set nowhere up", "route add unreachable 198.51.100.0/24",
                    "route add prohibit 203.0.113.0/24",
                    f"neigh add {TO_NOBODY} lladdr 02:00:00:00:00:01 dev nowhere"):
        subprocess.run(["ip", *command.split()], check=True)
    (SYSCTL / "tcp_syn_retries").write_text("1")
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "del", "nowhere"], check=True)
        subprocess.run(["ip", "route", "flush", "type", "unreachable"], check=True)
        subprocess.run(["ip", "route", "flush", "type", "prohibit"], check=True)


def what_is_not_reached_is_not_counted(problems):
    with nowhere(), Ledger() as ledger:
        for address, error in (("198.51.100.1", errno.EHOSTUNREACH), ("203.0.113.1", errno.EACCES),
                               ("100.64.0.1", errno.ENETUNREACH)):
            with tcp() as client:
                connect(problems, client, (address, 80), error)
        with tcp() as client:  # the link does not find its neighbour
            connect(problems, client, ("192.0.2.77", 80), (errno.EHOSTUNREACH, errno.ETIMEDOUT))
        with tcp() as client:
            connect(problems, client, (TO_NOBODY, 80), errno.ETIMEDOUT)
        expect(problems, "refused", refusals(ledger), {})


def what_is_broken_off_is_not_counted(problems):
    with nowhere(), Ledger() as ledger:
        with tcp() as client:  # nobody waits for the answer
            client.settimeout(0.05)
            connect(problems, client, (TO_NOBODY, 81), "TimeoutError")
        with tcp() as client:
            client.setblocking(False)
            connect(problems, client, (TO_NOBODY, 82), errno.EINPROGRESS)
            client_disconnect(client)
            connect(problems, client, (TO_NOBODY, 82), errno.EINPROGRESS)
            client.shutdown(socket.SHUT_RDWR)
        interrupt(problems)
        with Listener() as listener:  # reset by the other end
            with tcp() as client:
                client.connect(listener.where)
                listener.listener.close()
                with contextlib.suppress(ConnectionResetError):
                    client.recv(1)
        expect(problems, "refused", refusals(ledger), {})


class Interrupted(Exception):
    pass


def interrupt(problems):
    def on_alarm(*_):
        raise Interrupted
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with tcp() as client:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            client.connect((TO_NOBODY, 83))
            problems.append("connect() was not interrupted")
    except Interrupted:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- the search ----------------------------------------------------------------------------------

def slow(search, bound_us):
    """How many searches took longer."""
    return sum(n for below, n in search["below_us"] if below is None or below > bound_us * 2)


def search_to(ledger, where):
    found = [each for each in ledger.show()["search"]
             if (each["remote"], each["remote_port"]) == where]
    if len(found) != 1:
        raise ValueError(f"{len(found)} histograms for {where}")
    return found[0]


def active_opens():
    """Connections that this namespace opened."""
    names, figures = [line.split() for line in Path("/proc/self/net/snmp").read_text().splitlines()
                      if line.startswith("Tcp:")]
    return int(figures[names.index("ActiveOpens")])


def half_of_the_range_is_where_the_search_becomes_long(problems):
    (SYSCTL / "ip_local_port_range").write_text("32768\t60999")
    steep = ("127.1.0.1", 7000)  # where the provoker of one group leads
    with Ledger() as ledger, Listener("127.3.0.1") as flat, subprocess.Popen(
            [TIME_WAIT, "--groups", "1", "--processes", "1"], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as provoker:
        opened_before = active_opens()

        def fill(n):
            """Those who go meanwhile are made anew, so it takes more connects on a slow machine."""
            provoker.stdin.write(f"{n}\n")
            provoker.stdout.readline()
            search = search_to(ledger, steep)
            opened = active_opens() - opened_before
            return opened, search, search["total_us"] / search["connects"]
        made, before, mean_before = fill(12000)
        made_later, after, _ = fill(17000)
        for _ in range(300):
            with tcp() as client:
                client.connect(flat.where)
        level = search_to(ledger, flat.where)
        provoker.stdin.close()
    connects = after["connects"] - before["connects"]
    late = (after["total_us"] - before["total_us"]) / connects
    calm = level["total_us"] / level["connects"]
    beyond = 17000 - 28232 // 2
    bound = max(mean_before, calm)
    print(f"# {made}, then {made_later}: {mean_before:.1f} us, then {late:.1f}; "
          f"elsewhere {calm:.1f}; longer than {10 * bound:.0f}: {slow(after, 10 * bound)} "
          f"searches, elsewhere {slow(level, 10 * bound)}")
    expect(problems, "connects", (before["connects"], after["connects"]), (made, made_later))
    problems += [] if made >= 12000 and made_later >= 17000 else [f"{made}, {made_later} opened"]
    expect(problems, "not measured", after["unmeasured"] + level["unmeasured"], 0)
    if slow(after, 10 * bound) < beyond * 0.9:
        problems.append(f"{beyond} connects came after half of the range was used")
    if slow(before, 10 * bound) > 120 or slow(level, 10 * bound) > 3:
        problems.append("the search was long where there was room")


class Row(ctypes.Structure):
    """struct lp_ledger_search of src/bpf/ledger.h."""
    _fields_ = [("seen", ctypes.c_uint64), ("remote", ctypes.c_uint8 * 16),
                ("netns", ctypes.c_uint32), ("ifindex", ctypes.c_uint32),
                ("port", ctypes.c_uint16), ("family", ctypes.c_uint16), ("zero", ctypes.c_uint32),
                ("total_ns", ctypes.c_uint64), ("unmeasured", ctypes.c_uint64),
                ("stretch", ctypes.c_uint32 * 2), ("recent", ctypes.c_uint32 * 24 * 2),
                ("times", ctypes.c_uint64 * 24)]


def after_two_stretches(ledger, where, times):
    """Makes it look as if the connects so far were of long ago, with so many more before them."""
    table = ledger.pinned("searches")
    for entry in bpftool("map", "dump", "pinned", table):
        rows = (Row * 4).from_buffer(bytearray(int(byte, 16) for byte in entry["value"]))
        for row in rows:
            if row.port != where[1]:
                continue
            for slot in range(2):
                row.stretch[slot] -= 2
            for i in range(24):
                row.times[i] += times * (row.recent[0][i] + row.recent[1][i])
            bpftool("map", "update", "pinned", table, "key", *entry["key"], "value", *bytes(rows))
            return
    raise ValueError(f"no row for {where}")


def connects_are_counted_beyond_32_bits(problems):
    with Ledger() as ledger, Listener() as listener:
        for _ in range(PORTS):
            with tcp() as client:
                client.connect(listener.where)
        problems += [] if search_to(ledger, listener.where)["connects"] == PORTS else ["lost some"]
        after_two_stretches(ledger, listener.where, 2**32 - 1)
        expected = PORTS * 2**32  # which all are in the first bucket, or in few
        for i in range(3):
            expect(problems, f"connects after {i} more",
                   search_to(ledger, listener.where)["connects"], expected + i)
            with tcp() as client:
                connect(problems, client, listener.where, REFUSED)


def prepare():
    (SYSCTL / "ip_local_port_range").write_text(f"{LOW}\t{LOW + PORTS - 1}")
    (SYSCTL / "tcp_tw_reuse").write_text("0")


TESTS = [
    each_way_of_connecting_is_counted,
    each_link_has_destinations_of_its_own,
    one_socket_that_tries_again_is_counted_each_time,
    a_socket_that_was_used_before_is_counted,
    a_port_of_ones_own_is_told_from_an_exhausted_range,
    fast_open_is_counted,
    fast_open_that_succeeds_is_not,
    what_nobody_listens_for_is_not_counted,
    what_is_not_reached_is_not_counted,
    what_is_broken_off_is_not_counted,
    connects_are_counted_beyond_32_bits,
    half_of_the_range_is_where_the_search_becomes_long,
]

if __name__ == "__main__":
    raise SystemExit(run_inside(TESTS, prepare))
