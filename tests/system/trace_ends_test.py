# SPDX-License-Identifier: LGPL-2.1-or-later
"""lastport trace ends when it is told to, whatever comes, however late it is, and whoever reads;
and a pause does not make its rates wrong.

Runs itself again in a network namespace of its own.
"""

import array
import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

from command import TIMEOUT_S, run_inside
from ledger import enter_netns, new_netns
from peers import PYTHON, SERVER
from tracing import Trace, few_ports, listener, wait_for_begin

PIPE = 65536  # bytes that one holds

# Refused connects without an end.
FLOOD = """
import socket, sys
where = sys.argv[1], int(sys.argv[2])
held = [socket.socket() for _ in range(2)]
for each in held:
    each.connect_ex(where)
print("full", flush=True)
while True:
    socket.socket().connect_ex(where)
"""


@contextlib.contextmanager
def flood(processes):
    """Of refused connects, by so many processes, once they have begun."""
    with few_ports(2), listener(SERVER) as port, contextlib.ExitStack() as stack:
        for _ in range(processes):
            child = stack.enter_context(subprocess.Popen(
                [PYTHON, "-c", FLOOD, SERVER, str(port)], stdout=subprocess.PIPE, text=True))
            stack.callback(child.kill)
            child.stdout.readline()
        yield


def unread(stream):
    count = array.array("i", [0])
    fcntl.ioctl(stream, termios.FIONREAD, count)
    return count[0]


def wait_until_full(trace):
    """Until the trace waits for a reader of its output: what a page of the pipe holds may vary."""
    end = time.monotonic() + TIMEOUT_S
    before = -1
    while time.monotonic() < end:
        now = unread(trace.child.stdout)
        if now > PIPE / 2 and now == before:
            return
        before = now
        time.sleep(0.1)
    raise OSError(f"the pipe does not fill: {before} bytes")


def it_ends_while_nobody_reads(problems):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with flood(1), Trace("--each") as trace:
            wait_until_full(trace)
            trace.child.send_signal(number)
            status = trace.child.wait(TIMEOUT_S)
            errors = trace.child.stderr.read()
            if status != 74 or errors.count("\n") != 1 or "nobody takes" not in errors:
                problems.append(f"{number!r}: status {status}: {errors!r}")


def a_reader_that_is_slow_gets_the_summary(problems):
    with flood(1), Trace("--each") as trace:
        wait_until_full(trace)
        trace.end()
    if trace.status or trace.lines[-1]["event"] != "summary":
        problems.append(f"status {trace.status}, last {trace.lines[-1]}: {trace.errors}")
    if trace.count("refused") != trace.lines[-1]["counts"].get("refused"):
        problems.append("the summary counts others than were told")


def it_ends_while_more_comes_than_it_can_tell(problems):
    with flood(3), Trace("--each") as trace:
        trace.read_until("refused", 1000)
        begin = time.monotonic()
        trace.end()
    took = time.monotonic() - begin
    if trace.status or trace.lines[-1]["event"] != "summary":
        problems.append(f"status {trace.status}, after {took:.1f} s: {trace.errors}")


@contextlib.contextmanager
def many_namespaces(n):
    """Held by descriptors."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(open("/proc/thread-self/ns/net", "rb"))
        try:
            for _ in range(n):
                new_netns(up=False)
                stack.enter_context(open("/proc/thread-self/ns/net", "rb"))
        finally:
            enter_netns(here.fileno())
        yield


def worked_s(child):
    """What it has had of the processors."""
    after_command = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    user, system = after_command.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def wait_until_late(trace, interval, intervals):
    """Until it has worked for longer than so many intervals lasted, and so has missed some."""
    begin, end = worked_s(trace.child), time.monotonic() + TIMEOUT_S
    while worked_s(trace.child) - begin < interval * intervals:
        if time.monotonic() > end:
            raise OSError("its work does not take long enough")
        time.sleep(0.01)


def it_ends_where_its_work_takes_longer_than_an_interval(problems):
    interval = 0.1
    with many_namespaces(1200), Trace("--interval", str(interval), netns="all") as trace:
        wait_for_begin(trace)
        wait_until_late(trace, interval, 10)
        trace.end()
    if trace.status or trace.lines[-1]["event"] != "summary":
        problems.append(f"status {trace.status}: {trace.errors}")


def intervals_that_were_missed_are_not_made_up_for(problems):
    interval = 0.5
    with flood(1), Trace("--interval", str(interval)) as trace:
        trace.read_until("refused", 1)
        trace.child.send_signal(signal.SIGSTOP)
        time.sleep(5 * interval)
        trace.child.send_signal(signal.SIGCONT)
        trace.lines.clear()
        while len(trace.lines) < 4:
            trace.read()
        over = [line["count"] / line["rate"] for line in trace.lines]
        trace.end()
    if max(over) < 5 * interval or min(over) < 0.99 * interval:
        problems.append(f"counted over {over} s, with a pause of {5 * interval} s")


TESTS = [it_ends_while_nobody_reads, a_reader_that_is_slow_gets_the_summary,
         it_ends_while_more_comes_than_it_can_tell,
         it_ends_where_its_work_takes_longer_than_an_interval,
         intervals_that_were_missed_are_not_made_up_for]

if __name__ == "__main__":
    sys.exit(run_inside(TESTS))
