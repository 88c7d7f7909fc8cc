# SPDX-License-Identifier: LGPL-2.1-or-later
"""lastport trace: what it tells is what the kernel counted, and it ends as it is told to.

Runs itself again in a network namespace of its own.
"""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, WORLD, Run, run_inside
from ledger import Ledger
from peers import PYTHON, SERVER, cgroup, pair
from tracing import Trace, connects, counter, few_ports, listener, sysctl, wait_for_begin

NOBODY = 65534
COUNTERS = "counters of the network namespaces"


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
    missing = {line["what"]: line["why"] for line in lines if line["event"] == "missing"}
    problems.expect(run, "root" in missing.get(COUNTERS, ""), "does not say that others' are missing")
    run = Run("trace", "--json", "--for", "0.2", "--netns", "self", preexec_fn=become)
    problems.expect(run, run.status == 0 and COUNTERS not in run.out, "counters are missing")


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
