# SPDX-License-Identifier: LGPL-2.1-or-later
"""In a time namespace the clocks are others than the kernel's, its log's and the ledger's: what is
told of times and processes is the same there as outside.
"""

import datetime
import errno
import json
import socket
import sys
from pathlib import Path

from command import LASTPORT, Run, run_inside, small_range
from ledger import Ledger, own_netns
from peers import SERVER, pair

OFFSETS = Path("/proc/self/timens_offsets")
PORTS = 16
# as far ahead as a machine is rarely up, and a minute behind, which it is at least
SHIFTS = (("500000", "700000"), ("-60", "-30"))
APART_S = 2


def ask(shift, *arguments, env=None):
    """What the command answers in a time namespace, as JSON."""
    monotonic, boottime = shift
    run = Run("--time", "--monotonic", monotonic, "--boottime", boottime, LASTPORT, *arguments,
              "--json", program="unshare", env=env)
    if run.status not in (0, 1):
        raise OSError(run.problem("failed"))
    return json.loads(run.out)


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def owners_of(report, port):
    return next(limit["owners"] for limit in report["limits"] if limit["kind"] == "local-ports"
                and limit["scope"]["remote_port"] == port)


def who_runs_is_not_said_to_have_ended(problems):
    with Ledger() as ledger, pair([(10, {})]) as (port, server, client):
        client.do("close", 10)
        server.do("close", 10)
        for shift in SHIFTS:
            owners = owners_of(ask(shift, "status", "--netns", "self", "--reader", "diag",
                                   env=ledger.env), port)
            told = [(each.get("pid"), each.get("ended"), each["closed_first"]) for each in owners]
            if told != [(client.pid, None, 10)]:
                problems.append(f"shifted by {shift}: {told}, of {client.pid}")


def refuse(n):
    """The port of a listener to which n connects are refused, and how many connects there were."""
    with socket.create_server((SERVER, 0), backlog=PORTS) as listener:
        held, refused = [], 0
        while refused < n:
            client = socket.socket()
            try:
                client.connect(listener.getsockname())
                held.append(client)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                refused += 1
                client.close()
        for client in held:
            client.close()
        return listener.getsockname()[1], len(held) + refused


def to_port(shown, port):
    """When connects to it were refused, and how many looked for a port there lately."""
    refused = [each for each in shown["refused"] if each["remote_port"] == port
               and each["netns"]["inode"] == own_netns()]
    search = [each for each in shown["search"] if each["remote_port"] == port
              and each["netns"]["inode"] == own_netns()]
    return (seconds(refused[0]["first"]), seconds(refused[0]["last"]),
            sum(n for _, n in search[0]["recent_below_us"]))


def connects_are_refused_when_they_were(problems):
    with Ledger() as ledger:
        port, connects = refuse(3)
        here = to_port(json.loads(ledger.command("show", "--json")), port)
        if here[2] != connects:
            problems.append(f"lately {here[2]} searches of {connects}")
        for shift in SHIFTS:
            there = to_port(ask(shift, "ledger", "show", env=ledger.env), port)
            if any(abs(a - b) > APART_S for a, b in zip(here, there)):
                problems.append(f"shifted by {shift}: {there}, outside {here}")


def log_lines(report):
    """{line and how often it came: when it last did}"""
    return {(each["what"], each.get("subject"), each["times"]): seconds(each["last"])
            for each in report["log"]}


def lines_of_the_log_are_as_old_as_they_are(problems):
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40010")  # it warns of those
    for shift in SHIFTS:
        for _ in range(20):  # others may make the kernel write more meanwhile
            outside = log_lines(json.loads(Run("status", "--json", "--netns", "self").out))
            inside = log_lines(ask(shift, "status", "--netns", "self"))
            if same := outside.keys() & inside.keys():
                break
        if not same:
            problems.append(f"no line is in both: {inside}, outside {outside}")
        problems += [f"shifted by {shift}: {line} at {inside[line]}, outside {outside[line]}"
                     for line in same if abs(inside[line] - outside[line]) > APART_S]


TESTS = [who_runs_is_not_said_to_have_ended, connects_are_refused_when_they_were,
         lines_of_the_log_are_as_old_as_they_are]

if __name__ == "__main__":
    if not OFFSETS.exists():
        print("1..0 # SKIP this kernel has no time namespaces")
        sys.exit(0)
    sys.exit(run_inside(TESTS, lambda: small_range(PORTS)))
