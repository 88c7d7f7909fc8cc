# SPDX-License-Identifier: LGPL-2.1-or-later
"""`lastport explain` against limits that are reached, and against near misses.

Runs itself again in a network namespace of its own.
"""

import contextlib
import itertools
import json
import re
import resource
import socket
import subprocess
import sys
import time

from command import SOURCE, TIMEOUT_S, Run, run_inside, small_range

PORTS = 20
LISTENERS = itertools.count(8080)  # a port each: TIME_WAIT stays for a minute
EXPLAINED, NOT_UNDERSTOOD, USAGE = 0, 1, 64
NGINX = ('[crit] 1#1: *4 connect() to {0} failed (99: Cannot assign requested address) while '
         'connecting to upstream, client: 10.9.9.9, server: _, upstream: "http://{0}/login"')


def explain(*what):
    return Run("explain", "--json", "--netns", "self", *what)


def cause(run, kind):
    """The cause of that kind; None where there is none."""
    found = [c for c in json.loads(run.out)["causes"] if c["kind"] == kind]
    return found[0] if found else None


@contextlib.contextmanager
def pool(n, closed=0):
    """n connections to a listener in here, of which some are closed from this end."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", next(LISTENERS)))
        listener.listen(64)
        for i in range(n):
            client = stack.enter_context(socket.create_connection(listener.getsockname(), TIMEOUT_S))
            server = stack.enter_context(listener.accept()[0])
            if i < closed:
                client.close()
                server.close()
        yield "{}:{}".format(*listener.getsockname())


def a_full_pool_is_likely(problems):
    with pool(PORTS, closed=3) as there:
        for line in (NGINX.format(there), f"dial tcp {there}: connect: cannot assign requested address",
                     there):
            run = explain(line)
            problems.status(run, EXPLAINED)
            ports = cause(run, "local-ports")
            problems.expect(run, ports["verdict"] == "likely", "expected local-ports to be likely")
            problems.expect(run, ports["limit"]["headroom"] == 0, "expected none left")
            problems.expect(run, any("3 of its connections are in TIME_WAIT" in text
                                     for text in ports["for"]), "expected the TIME_WAITs")
            problems.expect(run, json.loads(run.out)["findings"], "expected what to do")


def another_destination_is_not(problems):
    with pool(PORTS - 1):
        run = explain(NGINX.format("127.0.0.9:443"))
        ports = cause(run, "local-ports")
        problems.expect(run, ports["verdict"] == "unlikely", "expected local-ports to be unlikely")
        problems.expect(run, ports["limit"]["scope"]["remote"] is None, "expected a new destination")
        problems.expect(run, "not used from here" in ports["against"][0], "expected why")
    with pool(5) as there:
        run = explain(NGINX.format(there))
        ports = cause(run, "local-ports")
        problems.expect(run, ports["verdict"] == "unlikely" and ports["limit"]["used"] == 5,
                        "expected the pool, far from full")


def the_line_is_told_back(problems):
    run = explain(NGINX.format("10.1.2.3:443"))
    understood = json.loads(run.out)["understood"]
    expected = {"as": "symptom", "symptom": "connect-no-port", "error": "EADDRNOTAVAIL",
                "call": "connect()", "program": "nginx",
                "destination": {"address": "10.1.2.3", "port": 443}, "pid": 1}
    problems.expect(run, understood == expected, f"expected {expected}")
    problems.expect(run, len(json.loads(run.out)["documented"]) == 2, "expected where it is documented")


def a_process_at_its_limit_is_likely(problems):
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    hold = "import os,sys,time\nfds=[os.dup(0) for _ in range(int(sys.argv[1]))]\nprint(1, flush=True)\ntime.sleep(99)"
    for n, verdict in ((60, "likely"), (20, "unlikely")):
        with subprocess.Popen([sys.executable, "-c", hold, str(n)], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, preexec_fn=few_descriptors) as child:
            child.stdout.readline()
            for what in (f"pid:{child.pid}", f"myapp[{child.pid}]: accept: Too many open files"):
                run = explain(what)
                found = cause(run, "file-descriptors")
                problems.expect(run, found["verdict"] == verdict, f"expected {verdict} of {n}")
                problems.expect(run, found["limit"]["scope"]["pid"] == child.pid, "expected the process")
            child.kill()
    run = explain("pid:4194300")
    problems.status(run, EXPLAINED)
    problems.expect(run, cause(run, "file-descriptors")["verdict"] == "not seen", "expected none")


def what_the_kernel_counted_is_possible(problems):
    line = "dial tcp 127.0.0.1:9999: connect: connection timed out"
    run = explain(line)
    problems.expect(run, cause(run, "accept-queue")["verdict"] == "not seen", "expected none here")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 9999))
        listener.listen(1)
        run = explain(line)
        problems.expect(run, cause(run, "accept-queue")["verdict"] == "unlikely", "expected an empty queue")
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(("127.0.0.1", 9999))
        deadline = time.monotonic() + TIMEOUT_S
        while cause(explain(line), "accept-queue")["verdict"] != "likely" and time.monotonic() < deadline:
            time.sleep(0.1)
        run = explain(line)
        problems.expect(run, cause(run, "accept-queue")["verdict"] == "likely", "expected a full queue")
        for _ in range(2):
            listener.accept()[0].close()
        run = explain(line)
        found = cause(run, "accept-queue")
        problems.expect(run, found["verdict"] in ("possible", "likely") and
                        any("ListenOverflows" in text for text in found["for"]),
                        "expected that it happened")


def every_error_limit_and_finding_is_explained(problems):
    names = re.findall(r'^        \{"(E[A-Z]+)", \d+', (SOURCE / "src/finding/symptom.c").read_text(), re.M)
    if len(names) < 10:
        problems.append(f"only these errors: {names}")
    kinds = re.search("expected (.*)", Run("--kind", "?").err)[1].split(", ")
    for what in [*names, *kinds, "short-connections", "local-ports-exhausted"]:
        run = Run("explain", "--netns", "self", what)
        problems.status(run, EXPLAINED)
        problems.expect(run, what.lower() in run.out.lower(), "expected it to be named")
        problems.expect(run, max(map(len, run.out.splitlines())) <= 80, "expected 80 columns")
        problems.expect(run, "!" not in run.out, "expected no exclamation mark")
        problems.expect(run, run.out.count("\n") <= 60, "expected about one page")


def the_worst_is_explained_without_asking(problems):
    with pool(PORTS, closed=2):
        run = explain()
        problems.status(run, EXPLAINED)
        answer = json.loads(run.out)
        problems.expect(run, answer["understood"] == {"as": "worst"}, "expected the worst")
        problems.expect(run, answer["findings"] or answer["causes"], "expected something")


def nonsense_is_not_understood(problems):
    for what, named in (("hello", "'hello'"), ("pid:x", "'pid:x': expected a process's number"),
                        ("db.example.com:5432", "not looked up"), ("ENOENT", "'ENOENT'"),
                        ("x" * 5000, "xxx"), ("caf\xe9 \x1b[31m\n", "?")):
        run = Run("explain", what)
        problems.status(run, NOT_UNDERSTOOD)
        problems.expect(run, named in run.err and "expected" in run.err or "Understood are" in run.err,
                        "expected what is understood")
        problems.expect(run, run.err.count("\n") == 1 and "\x1b" not in run.err, "expected one clean line")
    for arguments in (("--nonsense",), ("--width", "5"), ("--netns", "nowhere", "EMFILE")):
        run = Run("explain", *arguments)
        problems.status(run, USAGE)


def a_line_needs_no_quotes(problems):
    run = explain(*"curl: (7) Failed to connect to 10.0.0.1 port 80: Cannot assign requested address".split())
    problems.status(run, EXPLAINED)
    problems.expect(run, json.loads(run.out)["understood"]["destination"] ==
                    {"address": "10.0.0.1", "port": 80}, "expected the destination")


def a_line_may_begin_with_a_dash(problems):
    for arguments in (["-bash: connect: Cannot assign requested address", "--json"],
                      ["--json", "--", "-bash: connect: Cannot assign requested address"]):
        run = Run("explain", "--netns", "self", *arguments)
        problems.status(run, EXPLAINED)
        problems.expect(run, json.loads(run.out)["understood"]["error"] == "EADDRNOTAVAIL",
                        "expected the error")


def plain_ascii_where_the_locale_is(problems):
    with pool(PORTS, closed=2) as there:
        run = Run("explain", "--netns", "self", there, env={"LC_ALL": "C"})
        problems.expect(run, run.out.isascii() and "->" in run.out, "expected ASCII")


def the_page_has_all_fields(problems):
    page = (SOURCE / "man/lastport-explain.1.scd").read_text(encoding="utf-8")
    named = set(re.findall(r"_([a-z_]+)_", re.search(r"^# JSON\n(.*?)^# ", page, re.M | re.S)[1]))
    fields = {"not_judged", "limit", "finding"}
    with pool(PORTS, closed=2) as there:
        for what in (NGINX.format(there), there, "pid:1"):
            answer = json.loads(explain(what).out)
            fields |= set(answer) | set(answer["understood"])
            for part in answer["causes"]:
                fields |= set(part)
    for name in sorted((fields - {"schema"}) ^ named):
        problems.append(f"{name}: in the page or in an answer, not in both")


if __name__ == "__main__":
    sys.exit(run_inside([
        a_full_pool_is_likely,
        another_destination_is_not,
        the_line_is_told_back,
        a_process_at_its_limit_is_likely,
        what_the_kernel_counted_is_possible,
        every_error_limit_and_finding_is_explained,
        the_worst_is_explained_without_asking,
        nonsense_is_not_understood,
        a_line_needs_no_quotes,
        a_line_may_begin_with_a_dash,
        plain_ascii_where_the_locale_is,
        the_page_has_all_fields,
    ], lambda: small_range(PORTS)))
