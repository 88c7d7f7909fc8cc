# SPDX-License-Identifier: LGPL-2.1-or-later
"""lastport trace: what it tells is what the kernel counted, and it ends as it is told to.

Runs itself again in a network namespace of its own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, WORLD, Run, main
from peers import SERVER, pair

INSIDE = "LASTPORT_TEST_INSIDE"
NOBODY = 65534


def counter(name):
    """A figure of TcpExt."""
    lines = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines()]
    names, figures = [line for line in lines if line[0] == "TcpExt:"]
    return int(figures[names.index(name)])


def sysctl(name, value):
    Path(f"/proc/sys/net/ipv4/{name}").write_text(str(value))


class Trace:
    """A trace of this namespace in JSON that runs while something happens."""

    def __init__(self, *arguments, **more):
        self.child = subprocess.Popen(
            [LASTPORT, "trace", "--json", "--netns", "self", "--interval", "0.2", *arguments],
            env=WORLD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.lines, self.errors, self.status = [], "", None

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            raise OSError("the trace ended")
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def read_until(self, event, count):
        """Reads lines until so many of the event were told."""
        while self.count(event) < count:
            self.read()

    def count(self, event):
        return sum(line["count"] for line in self.lines if line["event"] == event)

    def end(self, number=signal.SIGINT):
        self.child.send_signal(number)
        out, self.errors = self.child.communicate(timeout=TIMEOUT_S)
        self.lines += [json.loads(line) for line in out.splitlines()]
        self.status = self.child.returncode

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.child.poll() is None:
            self.child.kill()
            self.child.communicate()


def wait_for_begin(trace):
    """Until it waits for the end of an interval: its state is known by its descriptor of signals."""
    fd = Path(f"/proc/{trace.child.pid}/wchan")
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if trace.child.poll() is not None:
            raise OSError("the trace ended")
        if "poll" in fd.read_text():
            return
        time.sleep(0.001)
    raise OSError("the trace does not begin")


def time_waits_cut_short_are_counted(problems):
    sysctl("tcp_max_tw_buckets", 5)
    before = counter("TCPTimeWaitOverflow")
    with Trace() as trace, pair([(0, {})]) as (port, server, client):
        wait_for_begin(trace)
        client.begin("connect", 25)
        server.do("accept", 25)
        client.end("connect")
        client.do("close", 25)
        server.do("close", 25)
        cut = counter("TCPTimeWaitOverflow") - before
        trace.read_until("time-wait-cut", cut)
        trace.end()
    sysctl("tcp_max_tw_buckets", 10000)
    if cut < 15:
        problems.append(f"only {cut} were cut short")
    if trace.count("time-wait-cut") != cut:
        problems.append(f"{trace.count('time-wait-cut')} told, {cut} counted")
    event = next(line for line in trace.lines if line["event"] == "time-wait-cut")
    if event["netns"]["inode"] != os.stat("/proc/self/ns/net").st_ino:
        problems.append(f"of another namespace: {event}")
    summary = trace.lines[-1]
    if summary["event"] != "summary" or summary["counts"] != {"time-wait-cut": cut}:
        problems.append(f"the summary: {summary}, expected {cut} cut short")
    if summary["lost"] or trace.status:
        problems.append(f"lost {summary['lost']}, status {trace.status}: {trace.errors}")


def a_full_accept_queue_is_told(problems):
    before = counter("ListenOverflows")
    with Trace() as trace, socket.socket() as listener:
        wait_for_begin(trace)
        listener.bind((SERVER, 0))
        listener.listen(1)
        clients = [socket.socket() for _ in range(5)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        trace.read_until("accept-queue-full", 1)
        trace.end(signal.SIGTERM)
        for client in clients:
            client.close()
    told, counted = trace.count("accept-queue-full"), counter("ListenOverflows") - before
    if not 0 < told <= counted:
        problems.append(f"{told} told, {counted} counted")
    if trace.status:
        problems.append(f"status {trace.status}")


def it_ends_by_itself(problems):
    run = Run("trace", "--netns", "self", "--for", "0.3")
    problems.status(run, 0)
    problems.expect(run, run.out.splitlines()[-1].startswith("In 0.3 s: nothing."), "no summary")
    run = Run("trace", "--netns", "self", "--for", "0.3", "--json")
    problems.expect(run, json.loads(run.out.splitlines()[-1])["counts"] == {}, "no summary")


def what_is_asked_for_wrongly_is_told(problems):
    for arguments, word in ((("--netns", "nonsense"), "'nonsense'"), (("--for", "soon"), "'soon'"),
                            (("--interval", "0"), "'0'"), (("more",), "'more'")):
        run = Run("trace", *arguments)
        problems.status(run, 64)
        problems.expect(run, word in run.err and run.err.count("\n") == 1, f"does not name {word}")


def an_ordinary_user_gets_the_counters(problems):
    def become():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    run = Run("trace", "--json", "--for", "0.2", preexec_fn=become)
    problems.status(run, 0)
    lines = [json.loads(line) for line in run.out.splitlines()]
    problems.expect(run, lines[-1]["event"] == "summary", "no summary")
    problems.expect(run, not any(line.get("what", "").startswith("counters") for line in lines),
                    "counters are missing")


def a_closed_pipe_is_quiet(problems):
    with subprocess.Popen([LASTPORT, "trace", "--netns", "self", "--for", "0.2"], env=WORLD,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        child.stdout.close()
        errors = child.stderr.read()
        if child.wait(TIMEOUT_S) or errors:
            problems.append(f"status {child.returncode}: {errors}")


TESTS = [time_waits_cut_short_are_counted, a_full_accept_queue_is_told, it_ends_by_itself,
         what_is_asked_for_wrongly_is_told, an_ordinary_user_gets_the_counters,
         a_closed_pipe_is_quiet]

if __name__ == "__main__":
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-n", "-m", "--", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sys.exit(main(TESTS))
