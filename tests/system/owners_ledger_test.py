# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who has the connections, with the ledger: TIME_WAITs by who closed them, those of processes that
have ended too, and what was closed before it was on.

Runs itself again in a network and a mount namespace of its own, with a ledger of its own.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, WORLD, Run, run_inside
from ledger import Ledger
from peers import PYTHON, SERVER, cgroup, pair

READER = ("--reader", os.environ.get("LASTPORT_READER", "diag"))
COMMAND = Path(PYTHON).name
ID = "3f2a9c0d7b1e84565a6c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c"


def pool(problems, kind, states, **scope):
    """The pool once its connections are so: the last segments may be on their way."""
    for _ in range(100):
        run = Run("--json", "--exact", "--netns", "self", *READER)
        problems.status(run, 0)
        limits = [limit for limit in json.loads(run.out)["limits"]
                  if limit["kind"] == kind and scope.items() <= limit["scope"].items()]
        if limits and limits[0]["states"] == states:
            return limits[0]
    raise ValueError(f"{kind} {scope}: {[limit['states'] for limit in limits]}, not {states}")


def to_server(problems, port, states, remote=SERVER):
    return pool(problems, "local-ports", states, remote=remote, remote_port=port)


def from_client(problems, port, states):
    return pool(problems, "client-ports", states, listener=SERVER, listener_port=port)


def ends_of(problems, port, n):
    """The owners of both ends of n connections to the server once all are in TIME_WAIT, and how
    many those are: more than n where both close at once."""
    ends = {}
    for _ in range(100):
        run = Run("--json", "--exact", "--netns", "self", *READER)
        problems.status(run, 0)
        limits = [limit for limit in json.loads(run.out)["limits"]
                  if port in (limit["scope"].get("remote_port"), limit["scope"].get("listener_port"))
                  and "states" in limit]
        ends = {limit["kind"]: limit["owners"] for limit in limits}
        waiting = sum(limit["states"].get("time_wait", 0) for limit in limits)
        if waiting == sum(sum(limit["states"].values()) for limit in limits) >= n:
            return {"client-ports": [], "local-ports": []} | ends, waiting
    raise ValueError(f"not {n} connections in TIME_WAIT: {ends}")


def expect(problems, what, found, expected):
    if found != expected:
        problems.append(f"{what}: {found!r}, expected {expected!r}")


def brief(limit, *names):
    return [{name: owner.get(name) for name in names} for owner in limit["owners"]]


def the_client_that_closes_first_is_named(problems):
    for address in (SERVER, "::1"):
        with pair([(25, {})], server_address=address) as (port, server, client):
            client.do("close", 20)
            server.do("close", 25)
            limit = to_server(problems, port, {"time_wait": 20, "close_wait": 5}, address)
            expect(problems, address, brief(limit, "pid", "states", "opened", "closed_first"),
                   [{"pid": client.pid, "states": {"time_wait": 20, "close_wait": 5},
                     "opened": 25, "closed_first": 20}])
            expect(problems, "unknown", limit["owners_unknown"], [])


def the_server_that_closes_first_is_named(problems):
    with pair([(25, {})]) as (port, server, client):
        server.do("close", 25)
        client.do("close", 25)
        limit = from_client(problems, port, {"time_wait": 25})
        expect(problems, "owners", brief(limit, "pid", "states", "opened", "closed_first"),
               [{"pid": server.pid, "states": {"time_wait": 25}, "opened": 0,
                 "closed_first": 25}])


def what_is_half_closed_is_named_too(problems):
    with pair([(6, {})]) as (port, _, client):
        client.do("close", 6)
        limit = to_server(problems, port, {"fin_wait2": 6})
        expect(problems, "owners", brief(limit, "pid", "states", "closed_first"),
               [{"pid": client.pid, "states": {"fin_wait2": 6}, "closed_first": 6}])


def expect_line(problems, line):
    run = Run("--netns", "self", *READER, "--all")
    problems.expect(run, line in run.out, f"does not say {line!r}")


def a_process_that_has_ended_is_named(problems):
    with pair([(10, {}), (5, {})]) as (port, server, first, second):
        for client, n in ((first, 10), (second, 5)):
            client.do("close", n)
            client.__exit__()
        server.do("close", 15)
        limit = to_server(problems, port, {"time_wait": 15})
        expect(problems, "owners", brief(limit, "command", "ended", "processes", "pid",
                                         "closed_first"),
               [{"command": COMMAND, "ended": True, "processes": 2, "pid": None,
                 "closed_first": 15}])
        expect_line(problems, f"by {COMMAND} (2 processes, ended): 15 TIME_WAIT")


def one_that_left_its_connections_to_a_child_has_opened_them(problems):
    with pair([(6, {})]) as (port, _, client):
        client.do("leave", 0)
        client.child.wait(TIMEOUT_S)
        limit = to_server(problems, port, {"established": 6})
        child, parent = sorted(limit["owners"], key=lambda owner: bool(owner.get("ended")))
        expect(problems, "holds", (child["states"], child["opened"]), ({"established": 6}, 0))
        expect(problems, "opened", (parent["pid"], parent["states"], parent["opened"]),
               (client.pid, {}, 6))
        expect_line(problems, f"by {COMMAND} ({client.pid}, ended): 6 opened")


def one_whose_first_thread_has_ended_is_not_ended(problems):
    with pair([(10, {})]) as (port, server, client):
        client.do("outlive", 0)
        client.do("close", 7)
        server.do("close", 7)
        limit = to_server(problems, port, {"time_wait": 7, "established": 3})
        expect(problems, "owners", brief(limit, "pid", "ended", "opened", "closed_first"),
               [{"pid": client.pid, "ended": None, "opened": 10, "closed_first": 7}])


def containers_with_the_same_command_are_told_apart(problems):
    with cgroup(f"docker-{ID}.scope") as (one, one_path), \
            cgroup(f"docker-{ID[::-1]}.scope") as (two, two_path):
        with pair([(4, {"cgroup": one}), (9, {"cgroup": two})]) as (port, server, first, second):
            for client, n in ((first, 4), (second, 9)):
                client.do("close", n)
                client.__exit__()
            server.do("close", 13)
            limit = to_server(problems, port, {"time_wait": 13})
            expect(problems, "owners", brief(limit, "cgroup", "container", "pid", "ended",
                                             "closed_first"),
                   [{"cgroup": two_path, "container": ID[::-1], "pid": second.pid, "ended": True,
                     "closed_first": 9},
                    {"cgroup": one_path, "container": ID, "pid": first.pid, "ended": True,
                     "closed_first": 4}])
    # by now these are gone
    limit = to_server(problems, port, {"time_wait": 13})
    for owner in limit["owners"]:
        if "cgroup" in owner or not owner.get("cgroup_id"):
            problems.append(f"of a cgroup that is gone: {owner}")
    run = Run("--netns", "self", *READER, "--all")
    problems.expect(run, f"cgroup {limit['owners'][0]['cgroup_id']}, gone" in run.out,
                    "does not say that it is gone")


def real_programs_are_named(problems):
    with tempfile.TemporaryDirectory(prefix="lastport-nginx-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(f"""daemon off; worker_processes 2; pid {folder}/pid; user root;
            error_log {folder}/error.log; events {{ }}
            http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
            fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
            server {{ listen {SERVER}:8080; return 204; }}
            server {{ listen {SERVER}:8081; keepalive_timeout 0; return 204; }} }}""")
        with subprocess.Popen(["nginx", "-c", str(config), "-e", f"{folder}/error.log"]) as nginx:
            try:
                fetch = ["curl", "--silent", "--show-error", "--output", "/dev/null", "--retry",
                         "20", "--retry-connrefused", "--retry-delay", "1"]
                for _ in range(7):
                    subprocess.run([*fetch, f"http://{SERVER}:8080/"], check=True)
                    subprocess.run([*fetch, f"http://{SERVER}:8081/"], check=True)
                limit = to_server(problems, 8080, {"time_wait": 7})
                expect(problems, "curl closed", brief(limit, "command", "processes",
                                                      "closed_first", "opened"),
                       [{"command": "curl", "processes": 7, "closed_first": 7, "opened": 7}])
                # told to close, curl may be quicker than nginx
                ends, waiting = ends_of(problems, 8081, 7)
                for kind, command in (("client-ports", "nginx"), ("local-ports", "curl")):
                    expect(problems, kind, {o["command"] for o in ends[kind]} - {command}, set())
                expect(problems, "in all", sum(o["closed_first"] for owners in ends.values()
                                               for o in owners), waiting)
                if nginx.pid in {o["pid"] for o in ends["client-ports"] if "pid" in o}:
                    problems.append("the master was named for what its workers closed")
            finally:
                nginx.terminate()


def what_was_closed_before_is_not_known(problems):
    ledger("off")
    with pair([(11, {})]) as (port, server, client):
        client.do("close", 8)
        ledger("on")
        client.do("close", 3)
        server.do("close", 11)
        limit = to_server(problems, port, {"time_wait": 11})
        expect(problems, "owners", brief(limit, "pid", "closed_first"),
               [{"pid": client.pid, "closed_first": 3}])
        expect(problems, "unknown", limit["owners_unknown"],
               [{"connections": 8, "what": "TIME_WAIT", "why": "closed before the ledger was on"}])


def a_number_of_another_pid_namespace_is_nobodys(problems):
    with pair([(5, {})]) as (_, _, client):
        client.do("close", 5)
        run = Run("explain", "--netns", "self", f"pid:{client.pid}")
        problems.expect(run, "saw it open 5 connections and close 5 first" in
                        " ".join(run.out.split()), "does not say what it opened")
        run = Run("--pid", "--fork", "--mount-proc", LASTPORT, "explain", "--netns", "self",
                  f"pid:{client.pid}", program="unshare")
        problems.expect(run, "which of them is meant is not known" in " ".join(run.out.split())
                        and "saw it" not in run.out, "does not say that it is not known")
        run = Run("--pid", "--fork", "--mount-proc", LASTPORT, "ledger", "show", program="unshare")
        problems.expect(run, "first PID namespace, not as here" in " ".join(run.out.split()),
                        "does not say whose numbers those are")


def without_it_nothing_is_guessed(problems):
    with pair([(3, {})]) as (port, server, client):
        client.do("close", 3)
        server.do("close", 3)
        ledger("off")
        limit = to_server(problems, port, {"time_wait": 3})
        expect(problems, "owners", limit["owners"], [])
        expect(problems, "unknown", limit["owners_unknown"],
               [{"connections": 3, "what": "TIME_WAIT", "why": "the ledger was off"}])


TESTS = [the_client_that_closes_first_is_named, the_server_that_closes_first_is_named,
         what_is_half_closed_is_named_too, a_process_that_has_ended_is_named,
         one_that_left_its_connections_to_a_child_has_opened_them,
         one_whose_first_thread_has_ended_is_not_ended,
         containers_with_the_same_command_are_told_apart, real_programs_are_named,
         what_was_closed_before_is_not_known, a_number_of_another_pid_namespace_is_nobodys,
         without_it_nothing_is_guessed]


def ledger(verb):
    run = Run("ledger", verb)
    if run.status:
        raise OSError(run.problem("does not go " + verb))


@contextlib.contextmanager
def own_ledger():
    with Ledger() as on:
        WORLD.update(on.env)
        yield


if __name__ == "__main__":
    sys.exit(run_inside(TESTS, around=own_ledger))
