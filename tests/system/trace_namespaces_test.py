# SPDX-License-Identifier: LGPL-2.1-or-later
"""lastport trace where network namespaces come and go, and where they may not be entered.

Runs itself again in namespaces of its own, with a /run/netns that nobody else sees.
"""

import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, Run, run_inside
from ledger import Ledger
from peers import PYTHON
from tracing import Trace, wait_for_begin

NAMES = (f"lastport-{number}" for number in itertools.count())
COUNTERS = "counters of the network namespaces"
BPF = "+bpf,+perfmon"


def prepare():
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)


def inside(name):
    return ["nsenter", f"--net=/run/netns/{name}"]


def in_it(name, *command):
    subprocess.run([*inside(name), *command], check=True)


def inode(name):
    return os.stat(f"/run/netns/{name}").st_ino


def set_up(name):
    """A few ports are all there are."""
    in_it(name, "ip", "link", "set", "lo", "up")
    in_it(name, "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40003",
          "net.ipv4.tcp_tw_reuse=0")


@contextlib.contextmanager
def namespace(name=None):
    """One that has a name."""
    name = name or next(NAMES)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        set_up(name)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


# The kernel hands out the lowest numbers that are free, to what /proc/net of a namespace needs too:
# once one is gone, and none was made since, the next one gets the same. It takes them apart later.
PAUSE_S = 0.05


def settle():
    """Until those are gone that others left, so that namespaces get one number after another."""
    before, end = None, time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        with namespace() as made:
            if inode(made) == before:
                break
            before = inode(made)
        time.sleep(PAUSE_S)
    time.sleep(PAUSE_S)


@contextlib.contextmanager
def namespace_of(number):
    """One that the kernel gives that inode."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        with namespace() as made:
            if inode(made) == number:
                yield made
                return
        time.sleep(PAUSE_S)
    raise OSError(f"no namespace gets inode {number}")


# Connects until so many found no port.
REFUSED = """
import errno, socket, sys
left, held = int(sys.argv[1]), []
listener = socket.create_server(("127.0.0.2", 80), backlog=100)
while left:
    client = socket.socket()
    error = client.connect_ex(("127.0.0.2", 80))
    if error == 0:
        held.append(client)
    elif error == errno.EADDRNOTAVAIL:
        left -= 1
    else:
        sys.exit(errno.errorcode[error])
"""

# A listener whose queue is full drops what comes.
OVERFLOWN = """
import socket
listener = socket.create_server(("127.0.0.2", 80), backlog=0)
clients = [socket.socket() for _ in range(3)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(("127.0.0.2", 80))
"""


def refuse(name, n):
    in_it(name, PYTHON, "-c", REFUSED, str(n))


def told(trace, event):
    """{(name, inode): how many} of an event."""
    found = {}
    for line in trace.lines:
        if line["event"] == event:
            key = line["netns"]["name"], line["netns"]["inode"]
            found[key] = found.get(key, 0) + line["count"]
    return found


def read_total(trace, name, n):
    """Reads until so many refused connects of a namespace were told."""
    while sum(count for key, count in told(trace, "refused").items() if key[0] == name) < n:
        trace.read()


def read_while(trace, event, name, provoke):
    """Provokes events in one namespace until the trace tells of one."""
    end = time.monotonic() + TIMEOUT_S
    while not any(key[0] == name for key in told(trace, event)):
        if time.monotonic() > end:
            raise OSError(f"no {event} of {name} is told")
        provoke()
        if select.select([trace.child.stdout], [], [], 0.5)[0]:
            trace.read()


def an_inode_that_is_given_out_again_is_another_namespace(problems):
    for arguments in ((), ("--each",)):
        with contextlib.ExitStack() as stack:
            settle()
            life = stack.enter_context(contextlib.ExitStack())
            first = life.enter_context(namespace())
            number = inode(first)
            every = stack.enter_context(Trace(*arguments, netns="all"))
            one = stack.enter_context(Trace(*arguments, netns=first))
            for trace in (every, one):
                wait_for_begin(trace)
            refuse(first, 7)
            for trace in (every, one):
                read_total(trace, first, 7)
            refuse(first, 2)
            life.close()
            second = stack.enter_context(namespace_of(number))
            provoked = itertools.count()

            def provoke():
                next(provoked)
                refuse(second, 1)
            read_while(every, "refused", second, provoke)
            every.end()
            one.end()
        ours = {key[0]: n for key, n in told(every, "refused").items() if key[1] == number}
        # a new one has no name until it is listed
        others = sum(n for name, n in ours.items() if name in (None, second))
        if ours.get(first) != 9 or others != next(provoked) or len(ours) > 3:
            problems.append(f"{arguments}: told {ours}, expected 9 in {first}, others in {second}")
        if told(one, "refused") != {(first, number): 9}:
            problems.append(f"{arguments}: of the one {told(one, 'refused')}")


def a_name_is_followed_to_the_namespace_that_has_it(problems):
    name = next(NAMES)
    for arguments in ((), ("--each",)):
        with contextlib.ExitStack() as stack:
            with namespace(name):
                trace = stack.enter_context(Trace(*arguments, netns=name))
                trace.reads_ledger()
                refuse(name, 4)
                trace.read_until("refused", 4)
                before = inode(name)
            with namespace(), namespace(name):  # the first one takes the inode, if it is free
                number = inode(name)
                trace.lines.clear()
                read_while(trace, "refused", name, lambda: refuse(name, 3))
                trace.end()
            if set(told(trace, "refused")) != {(name, number)}:
                problems.append(f"{arguments}: {told(trace, 'refused')}, {number} after {before}")


def what_the_kernel_counts_of_a_new_one_is_told(problems):
    with Trace(netns="all") as trace:
        wait_for_begin(trace)
        with namespace() as name:
            def provoke():
                in_it(name, PYTHON, "-c", OVERFLOWN)
            read_while(trace, "accept-queue-full", name, provoke)
            trace.end()
            if set(told(trace, "accept-queue-full")) != {(name, inode(name))}:
                problems.append(f"told {told(trace, 'accept-queue-full')}")
    if trace.status:
        problems.append(f"status {trace.status}: {trace.errors}")


def the_ledger_keeps_them_apart(problems):
    """What one that ended had refused is neither told under the next one's name nor its finding."""
    settle()
    with Ledger() as ledger, contextlib.ExitStack() as stack:
        with namespace() as first:
            number = inode(first)
            refuse(first, 7)
        second = stack.enter_context(namespace_of(number))
        refuse(second, 5)
        shown = json.loads(ledger.command("show", "--json"))
        for field in ("refused", "owners"):
            counts = {}
            for each in shown[field]:
                if each["netns"]["inode"] == number:
                    name = each["netns"]["name"]
                    counts[name] = counts.get(name, 0) + each["refused"]
            # one of another test may have had it too
            if counts.get(second) != 5 or counts.get(None, 0) < 7 or len(counts) > 2:
                problems.append(f"{field}: {counts}")
        explain = Run("explain", "127.0.0.2:80", "--netns", second, env=ledger.env)
        problems.expect(explain, "5 connects" in explain.out, "expected 5 refused connects")


def become(capabilities):
    """Whoever has nothing but these."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            f"--bounding-set={capabilities}", f"--inh-caps={capabilities}",
            f"--ambient-caps={capabilities}", LASTPORT]


def one_that_may_not_be_entered_is_told_as_that(problems):
    with namespace() as name:
        for wanted, status, words in ((name, 77, f"'{name}' may not be entered: needs root"),
                                      (str(inode(name)), 77, "needs root"),
                                      ("4026531000", 77, "needs root"),
                                      ("nonsense", 64, "'nonsense'")):
            for command in (["trace", "--for", "0.2"], ["status"]):
                run = Run(*become("-all"), *command, "--netns", wanted, program="env")
                problems.status(run, status)
                problems.expect(run, words in run.err and run.err.count("\n") == 1, words)


def programs_tell_of_one_that_may_not_be_entered(problems):
    for arguments in ((), ("--each",)):
        with namespace() as name:
            with Trace(*arguments, netns=name, command=become(f"-all,{BPF}")) as trace:
                first = trace.read()
                if (first["event"], first["what"]) != ("missing", COUNTERS):
                    problems.append(f"not said to be missing: {first}")
                wait_for_begin(trace)
                refuse(name, 7)
                trace.read_until("refused", 7)
                trace.end()
            if told(trace, "refused") != {(name, inode(name)): 7}:
                problems.append(f"{arguments}: told {told(trace, 'refused')}")


def with_few_descriptors_it_tells_what_it_can(problems):
    seen = set()
    for descriptors in range(10, 40):
        run = Run(f"--nofile={descriptors}", LASTPORT, "trace", "--json", "--netns", "self",
                  "--for", "0.1", program="prlimit")
        if run.status:
            problems.expect(run, not seen, f"failed with {descriptors}, but not with fewer")
            problems.expect(run, run.err.count("\n") == 1, "not one line")
            continue
        lines = [json.loads(line) for line in run.out.splitlines()]
        missing = {line["what"] for line in lines if line["event"] == "missing"}
        problems.expect(run, COUNTERS not in missing, f"no counters with {descriptors}")
        seen.add(len(missing))
    if 0 not in seen or len(seen) < 2:
        problems.append(f"of so many descriptors {seen} sources were missing")


TESTS = [an_inode_that_is_given_out_again_is_another_namespace,
         a_name_is_followed_to_the_namespace_that_has_it,
         what_the_kernel_counts_of_a_new_one_is_told, the_ledger_keeps_them_apart,
         one_that_may_not_be_entered_is_told_as_that,
         programs_tell_of_one_that_may_not_be_entered, with_few_descriptors_it_tells_what_it_can]

if __name__ == "__main__":
    sys.exit(run_inside(TESTS, prepare))
