# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who has the connections, without a ledger: real programs in a network namespace, in cgroups made
for them, forked workers, processes of another user, and TIME_WAITs that nobody is named for.

Runs itself again in a network and a mount namespace of its own.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from command import Run, run_inside
from peers import PYTHON, SERVER, Peer, cgroup, pair

NOBODY = 65534
ID = "3f2a9c0d7b1e84565a6c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c"
POD = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
# both tell it, so which one is left to whoever runs this, not to what others do on this machine
READER = ("--reader", os.environ.get("LASTPORT_READER", "diag"))

def look(problems, *arguments, **more):
    run = Run("--json", "--exact", "--netns", "self", *READER, *arguments, **more)
    problems.status(run, 0)
    return json.loads(run.out)


def look_until(problems, port, states):
    """The pool to the server once its connections are so: the last segments may be on their way."""
    for _ in range(100):
        limit = to_server(look(problems), port)
        if limit["states"] == states:
            break
    return limit


def limit_of(report, kind, **scope):
    for limit in report["limits"]:
        if limit["kind"] == kind and scope.items() <= limit["scope"].items():
            return limit
    raise ValueError(f"no {kind} {scope}")


def to_server(report, port, remote=SERVER):
    return limit_of(report, "local-ports", remote=remote, remote_port=port)


def from_client(report, port):
    return limit_of(report, "client-ports", listener=SERVER, listener_port=port)


def owners(limit):
    return {owner["pid"]: owner for owner in limit["owners"]}


def unknown(limit):
    return {entry["why"]: entry["connections"] for entry in limit["owners_unknown"]}


def expect(problems, what, found, expected):
    if found != expected:
        problems.append(f"{what}: {found!r}, expected {expected!r}")


# ---- the tests --------------------------------------------------------------------------------

def each_end_is_named_with_its_connections(problems):
    with pair([(30, {}), (12, {})]) as (port, server, one, two):
        report = look(problems)
        mine, theirs = owners(to_server(report, port)), owners(from_client(report, port))
        expect(problems, "clients", {pid: owner["states"] for pid, owner in mine.items()},
               {one.pid: {"established": 30}, two.pid: {"established": 12}})
        expect(problems, "server", {pid: owner["states"] for pid, owner in theirs.items()},
               {server.pid: {"established": 42}})
        expect(problems, "command", mine[one.pid]["command"], Path(PYTHON).name)
        expect(problems, "first", to_server(report, port)["owners"][0]["pid"], one.pid)
        expect(problems, "unknown", unknown(to_server(report, port)), {})
        for limit in (to_server(report, port), from_client(report, port)):
            if "opened" in limit["owners"][0] or "closed_first" in limit["owners"][0]:
                problems.append("told what only a ledger knows")


def the_same_in_the_other_family(problems):
    with pair([(7, {})], server_address="::1") as (port, server, client):
        report = look(problems)
        expect(problems, "client", owners(to_server(report, port, remote="::1")).keys(), {client.pid})
        listener = limit_of(report, "client-ports", listener="::1")
        expect(problems, "server", owners(listener).keys(), {server.pid})


def two_containers_with_the_same_command_are_told_apart(problems):
    pod = f"kubepods-burstable-pod{POD.replace('-', '_')}.slice"
    with cgroup(f"docker-{ID}.scope") as (one, one_path), \
            cgroup(pod, f"cri-containerd-{ID[::-1]}.scope") as (two, two_path), \
            pair([(5, {"cgroup": one}), (9, {"cgroup": two})]) as (port, _, first, second):
        found = owners(to_server(look(problems), port))
        names = ("cgroup", "unit", "container", "runtime", "pod")
        expect(problems, "the first", {k: found[first.pid].get(k) for k in names},
               {"cgroup": one_path, "unit": f"docker-{ID}.scope", "container": ID,
                "runtime": "docker", "pod": None})
        expect(problems, "the second", {k: found[second.pid].get(k) for k in names},
               {"cgroup": two_path, "unit": f"cri-containerd-{ID[::-1]}.scope",
                "container": ID[::-1], "runtime": "containerd", "pod": POD})


def workers_that_share_connections_are_counted(problems):
    with pair([(6, {})]) as (port, server, _):
        server.do("fork", 3)
        workers = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        expect(problems, "workers", len(workers), 3)
        first = min(server.pid, *map(int, workers))  # ids begin again after kernel.pid_max
        found = owners(from_client(look(problems), port))
        expect(problems, "owners", found.keys(), {first})
        expect(problems, "shared with", found[first].get("shared_with"), 3)
        expect(problems, "states", found[first]["states"], {"established": 6})


def nobody_is_named_for_time_wait(problems):
    with pair([(20, {})]) as (port, server, client):
        client.do("close", 15)
        server.do("close", 20)
        limit = look_until(problems, port, {"time_wait": 15, "close_wait": 5})
        expect(problems, "states", limit["states"], {"time_wait": 15, "close_wait": 5})
        expect(problems, "owners", owners(limit)[client.pid]["states"], {"close_wait": 5})
        expect(problems, "unknown", limit["owners_unknown"],
               [{"connections": 15, "what": "TIME_WAIT", "why": "the ledger was off"}])


def what_nobody_holds_is_told_apart(problems):
    with pair([(8, {})]) as (port, server, client):
        client.do("connect", 5)
        client.do("close", 5)
        server.begin("accept", 0)
        server.end("accept")
        report = look(problems)
        expect(problems, "at the client", unknown(to_server(report, port)),
               {"no process holds them": 5})
        expect(problems, "at the server", unknown(from_client(report, port)),
               {"in the listener's queue": 5})
        expect(problems, "held", owners(from_client(report, port))[server.pid]["states"],
               {"established": 8})


def become_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def a_process_without_its_first_thread_is_named(problems):
    with pair([(4, {"user": NOBODY})]) as (port, _, client):
        client.do("outlive", 0)
        for who in (None, become_nobody):
            limit = to_server(look(problems, preexec_fn=who), port)
            expect(problems, "owners", owners(limit).keys(), {client.pid})
            expect(problems, "unknown", unknown(limit), {})


def of_others_an_ordinary_user_is_told_no_more_than_that(problems):
    with pair([(4, {}), (3, {"user": NOBODY})]) as (port, _, root, nobody):
        limit = to_server(look(problems, preexec_fn=become_nobody), port)
        expect(problems, "owners", owners(limit).keys(), {nobody.pid})
        expect(problems, "unknown", unknown(limit), {"seeing by whom needs root": 4})
        expect(problems, "as root", owners(to_server(look(problems), port)).keys(),
               {root.pid, nobody.pid})


def nginx_and_its_workers_are_named(problems):
    with tempfile.TemporaryDirectory(prefix="lastport-nginx-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(f"""daemon off; worker_processes 2; pid {folder}/pid; user root;
            error_log {folder}/error.log; events {{ }}
            http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
            fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
            server {{ listen {SERVER}:8080; return 204; }} }}""")
        with subprocess.Popen(["nginx", "-c", str(config), "-e", f"{folder}/error.log"]) as nginx:
            try:
                with wait_for_nginx() as client:
                    client.do("connect", 10)
                    limit = from_client(wait_until_accepted(problems), 8080)
                    found = owners(limit)
                    expect(problems, "commands", {o["command"] for o in found.values()}, {"nginx"})
                    expect(problems, "connections",
                           sum(o["states"]["established"] for o in found.values()), 10)
                    if nginx.pid in found:
                        problems.append("the master was named for what its workers hold")
            finally:
                nginx.terminate()


def wait_for_nginx():
    for _ in range(200):
        try:
            socket.create_connection((SERVER, 8080)).close()
            return Peer(SERVER, 8080)
        except OSError:
            time.sleep(0.05)
    raise OSError("nginx does not listen")


def wait_until_accepted(problems):
    for _ in range(100):
        report = look(problems)
        limit = from_client(report, 8080)
        if limit["states"].keys() == {"established"} and not unknown(limit):
            return report
        time.sleep(0.05)
    raise OSError("nginx does not accept, or does not end the first connection")


def all_sockets():
    """TCP sockets of the machine."""
    return int(Path("/proc/net/sockstat").read_text().split(" mem ")[0].split()[-1])


def the_text_names_who_fills_a_pool(problems):
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40019")
    try:
        with cgroup("web.service") as (group, _), \
                pair([(18, {"cgroup": group})]) as (port, server, client):
            client.do("close", 2)
            server.do("close", 18)
            look_until(problems, port, {"time_wait": 2, "close_wait": 16})
            run = Run("--netns", "self", "--width", "80", *READER)
            command = Path(PYTHON).name
            problems.expect(run, f"by {command} ({client.pid}) web.service: 16 CLOSE_WAIT" in run.out,
                            "does not say who")
            problems.expect(run, "not known by whom: 2 TIME_WAIT (the ledger was off)" in run.out,
                            "does not say what is not known")
            # a machine full of others' sockets is read by what does not tell them apart
            few = all_sockets() < 50000
            run = Run("check", "--netns", "self", "--kind", "local-ports")
            few = few and all_sockets() < 50000
            told = f", by {command} ({client.pid})" in run.out
            problems.expect(run, told or not few, "does not say who")
    finally:
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("32768 60999")


TESTS = [each_end_is_named_with_its_connections, the_same_in_the_other_family,
         two_containers_with_the_same_command_are_told_apart,
         workers_that_share_connections_are_counted, nobody_is_named_for_time_wait,
         what_nobody_holds_is_told_apart, a_process_without_its_first_thread_is_named,
         of_others_an_ordinary_user_is_told_no_more_than_that,
         nginx_and_its_workers_are_named, the_text_names_who_fills_a_pool]

if __name__ == "__main__":
    sys.exit(run_inside(TESTS))
