# SPDX-License-Identifier: LGPL-2.1-or-later
"""lastport trace: what it tells is what the kernel counted, and it ends as it is told to.

Runs itself again in a network namespace of its own.
"""

import contextlib
import errno
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, WORLD, Run, run_inside
from ledger import Ledger
from peers import PORTS, PYTHON, SERVER, cgroup, pair

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

    def __init__(self, *arguments, env=None, **more):
        self.child = subprocess.Popen(
            [LASTPORT, "trace", "--json", "--netns", "self", "--interval", "0.2", *arguments],
            env=WORLD | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.lines, self.errors, self.status = [], "", None

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            raise OSError("the trace ended")
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def reads_ledger(self):
        """Waits for the beginning. Whether it can tell what a ledger counts."""
        wait_for_begin(self)
        return not select.select([self.child.stdout], [], [], 0)[0]

    def programs(self):
        """The numbers of the programs it keeps in the kernel."""
        found = set()
        for entry in Path(f"/proc/{self.child.pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it looks into files, and closes them
                found |= {line.split()[1] for line in entry.read_text().splitlines()
                          if line.startswith("prog_id:")}
        return found

    def read_until(self, event, count):
        """Reads lines until so many of the event were told."""
        while self.count(event) < count:
            self.read()

    def count(self, event):
        return sum(line["count"] for line in self.lines if line["event"] == event)

    def end(self, number=signal.SIGINT):
        self.child.send_signal(number)
        late = threading.Timer(TIMEOUT_S, self.child.kill)
        late.start()
        # not communicate(), which knows nothing of what readline() has read ahead
        self.lines += [json.loads(line) for line in self.child.stdout]
        self.errors = self.child.stderr.read()
        self.status = self.child.wait()
        late.cancel()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.child.poll() is None:
            self.child.kill()
            self.child.communicate()


def wait_for_begin(trace):
    """Until it waits for the end of an interval."""
    sleeps_in = Path(f"/proc/{trace.child.pid}/wchan")
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if trace.child.poll() is not None:
            raise OSError("the trace ended")
        if "poll" in sleeps_in.read_text():
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
    if summary["event"] != "summary" or summary["counts"].get("time-wait-cut") != cut:
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


# Connects to a server that accepts nothing more than its queue holds; prints what came of each.
CONNECTS = """
import collections, errno, socket, sys
address, port, n, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
came, held = collections.Counter(), []
for i in range(n):
    s = socket.socket(family)
    s.setblocking(how != "nonblocking")
    if how == "bound":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 30000))
    try:
        s.connect((address, port))
        came["made"] += 1
    except BlockingIOError:
        came["made"] += 1
    except OSError as error:
        came[errno.errorcode[error.errno]] += 1
    if how == "closing" and i >= 2:
        s.close()
    else:
        held.append(s)
print(came["made"], came["EADDRNOTAVAIL"], came["ECONNREFUSED"], len(came))
"""


def connects(address, port, n, how="blocking"):
    """How many were made, had no port, and were refused by the other side; the pid of who tried."""
    with subprocess.Popen([PYTHON, "-c", CONNECTS, address, str(port), str(n), how],
                          stdout=subprocess.PIPE, text=True) as child:
        out, _ = child.communicate(timeout=TIMEOUT_S)
        return [int(figure) for figure in out.split()[:3]] + [child.pid]


@contextlib.contextmanager
def few_ports(n):
    sysctl("ip_local_port_range", f"40000 {40000 + n - 1}")
    sysctl("tcp_tw_reuse", 0)
    try:
        yield
    finally:
        sysctl("ip_local_port_range", "32768 60999")


@contextlib.contextmanager
def listener(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((address, next(PORTS)))
        sock.listen(1000)
        yield sock.getsockname()[1]


def expect_refused(problems, trace, address, port, tried, why):
    made, no_port, _, pid = tried
    if no_port <= 0 or made <= 0:
        problems.append(f"{address}: {made} made, {no_port} without a port")
    trace.read_until("refused", no_port)
    told = [line for line in trace.lines if line["event"] == "refused"]
    trace.lines = [line for line in trace.lines if line["event"] != "refused"]
    for line in told:
        found = {name: line.get(name) for name in ("remote", "remote_port", "pid", "command", "why")}
        right = {"remote": address, "remote_port": port, "pid": pid,
                 "command": Path(PYTHON).name, "why": why}
        if found != right:
            problems.append(f"{found}, expected {right}")
        if not line["search_ms"] > 0:
            problems.append(f"search took {line['search_ms']}")
    if sum(line["count"] for line in told) != no_port:
        problems.append(f"{sum(line['count'] for line in told)} told, {no_port} provoked")


def refused_connects_are_counted(problems, env=None):
    with few_ports(40), Trace(env=env) as trace:
        if not trace.reads_ledger():
            problems.append("refused connects are not traced")
        for address in (SERVER, "::1"):
            for how in ("blocking", "nonblocking"):
                with listener(address) as port:
                    tried = connects(address, port, 57, how)
                    if tried[:2] != [40, 17]:
                        problems.append(f"{how}: {tried[0]} made, {tried[1]} without a port")
                    expect_refused(problems, trace, address, port, tried, "no-port")
            with listener(address) as port:
                tried = connects(address, port, 9, "bound")
                expect_refused(problems, trace, address, port, tried, "bound-port")
        trace.end()
    if trace.lines[-1]["counts"].get("refused") != 2 * (17 + 17 + 8):
        problems.append(f"in all {trace.lines[-1]}")


def other_failures_are_not_counted(problems):
    for arguments in ((), ("--each",)):
        with Trace(*arguments) as trace, few_ports(40):
            trace.reads_ledger()
            with socket.socket() as closed:
                closed.bind((SERVER, 0))
                tried = connects(SERVER, closed.getsockname()[1], 25)
            if tried[2] != 25:
                problems.append(f"{tried[2]} of 25 were refused by the other side")
            trace.end()
        if trace.count("refused"):
            problems.append(f"{trace.count('refused')} told")


def who_closes_first_is_told(problems):
    with Trace() as trace, cgroup("web.service") as (group, _), \
            pair([(30, {"cgroup": group})]) as (_, server, client):
        trace.reads_ledger()
        client.do("close", 20)
        server.do("close", 30)
        trace.read_until("closed-first", 30)
        trace.end()
    closers = {}
    for line in trace.lines:
        if line["event"] == "closed-first":
            closers[line.get("pid")] = closers.get(line.get("pid"), 0) + line["count"]
    units = {line.get("unit") for line in trace.lines if line.get("pid") == client.pid}
    if units != {"web.service"}:
        problems.append(f"of units {units}")
    if closers != {client.pid: 20, server.pid: 10}:
        problems.append(f"{closers}, expected {client.pid}: 20, {server.pid}: 10")


def the_ledger_that_is_on_is_asked(problems):
    with Ledger() as ledger:
        with Trace(env=ledger.env) as trace:
            trace.reads_ledger()
            with Trace(env=ledger.env) as other:
                other.reads_ledger()
                mine, its = ({number for number in one.programs() if is_ledger(number)}
                             for one in (trace, other))
                if len(mine) != 1 or mine != its:
                    problems.append("programs were loaded beside those of the ledger")
                other.end()
            trace.end()
        refused_connects_are_counted(problems, ledger.env)


def the_ledger_goes_on_for_a_trace_when_it_is_turned_off(problems):
    for verbs in (["off"], ["on", "--memory", "1"]):  # the other is another one
        with Ledger() as ledger:
            with few_ports(40), Trace(env=ledger.env) as trace, listener(SERVER) as port:
                trace.reads_ledger()
                ledger.command(*verbs)
                made, refused, *_ = connects(SERVER, port, 57)
                trace.end()
            if (made, refused) != (40, 17) or trace.count("refused") != refused:
                problems.append(f"after {verbs}: {refused} were refused, "
                                f"{trace.count('refused')} told")


def each_event_is_a_line(problems):
    with few_ports(40), Trace("--each") as trace, listener(SERVER) as port:
        if not trace.reads_ledger():
            problems.append("single events are not traced")
        tried = connects(SERVER, port, 57)
        trace.read_until("closed-first", 40)
        if any(line["count"] != 1 for line in trace.lines):
            problems.append("a line stands for more than one event")
        if trace.count("refused") != 17:
            problems.append(f"{trace.count('refused')} refused, expected 17")
        expect_refused(problems, trace, SERVER, port, tried, "no-port")
        trace.end()


def what_is_lost_is_counted(problems):
    many = 20000  # more than the ring holds
    with few_ports(2), Trace("--each") as trace, listener(SERVER) as port:
        trace.reads_ledger()
        trace.child.send_signal(signal.SIGSTOP)
        tried = connects(SERVER, port, many, "closing")
        trace.child.send_signal(signal.SIGCONT)
        trace.end()
    summary = trace.lines[-1]
    told = trace.count("refused") + trace.count("closed-first")
    if tried[1] + 2 != many:
        problems.append(f"{tried[1]} of {many} had no port")
    if not summary["lost"] or told + summary["lost"] != many:
        problems.append(f"{told} told and {summary['lost']} lost of {many}")


def what_was_told_before_its_row_gave_way_is_not_lost(problems):
    """More destinations than a ledger has rows for, again and again."""
    destinations, turns = 500, 12
    with few_ports(1), Trace() as trace, socket.create_server(("", 40000)):
        trace.reads_ledger()
        for turn in range(turns):
            for i in range(destinations):
                with socket.socket() as client:
                    where = (f"127.{1 + turn}.{i // 250}.{1 + i % 250}", 9)
                    if client.connect_ex(where) != errno.EADDRNOTAVAIL:
                        problems.append("a connect() was not refused")
            trace.read_until("refused", (turn + 1) * destinations * 0.8)
        trace.end()
    told, lost = trace.count("refused"), trace.lines[-1]["lost"]
    # what is lost is of the whole machine: others may add some
    if not lost or not told or not 1 <= (told + lost) / (destinations * turns) < 1.1:
        problems.append(f"{told} told and {lost} lost of {destinations * turns}")


def killed_it_leaves_nothing(problems):
    with Trace() as trace:
        trace.reads_ledger()
        programs = trace.programs()
        if not programs:
            problems.append("no program was loaded")
        trace.child.kill()
        trace.child.communicate()
    for _ in range(200):
        left = [number for number in programs if is_loaded(number)]
        if not left:
            return
        time.sleep(0.05)
    problems.append(f"programs {left} are still there")


def is_ledger(number):
    told = subprocess.run(["bpftool", "prog", "show", "id", number], stdout=subprocess.PIPE,
                          text=True, check=False)
    return "lp_ledger_state" in told.stdout


def is_loaded(number):
    return subprocess.run(["bpftool", "prog", "show", "id", number], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def it_ends_by_itself(problems):
    run = Run("trace", "--netns", "self", "--for", "0.3")
    problems.status(run, 0)
    summary = re.match(r"In (\d+\.\d) s: nothing\.", run.out.splitlines()[-1])
    problems.expect(run, summary and float(summary[1]) >= 0.3, "no summary")
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


TESTS = [refused_connects_are_counted, other_failures_are_not_counted, who_closes_first_is_told,
         the_ledger_that_is_on_is_asked, the_ledger_goes_on_for_a_trace_when_it_is_turned_off,
         each_event_is_a_line, what_is_lost_is_counted,
         what_was_told_before_its_row_gave_way_is_not_lost, killed_it_leaves_nothing,
         time_waits_cut_short_are_counted, a_full_accept_queue_is_told, it_ends_by_itself,
         what_is_asked_for_wrongly_is_told, an_ordinary_user_gets_the_counters,
         a_closed_pipe_is_quiet]

if __name__ == "__main__":
    sys.exit(run_inside(TESTS))
