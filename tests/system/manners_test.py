# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the command behaves: mistakes, exit statuses, outputs that break, terminals, thresholds.

Runs itself again in a network namespace of its own.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

from command import LASTPORT, TIMEOUT_S, WORLD, Run, run_inside, small_range

USAGE, IO_ERROR = 64, 74
OK, WARNING, CRITICAL, UNKNOWN = range(4)
NOBODY = 65534
PORTS = 10  # of the local port range in here


# ---- mistakes ---------------------------------------------------------------------------------

# arguments: what the message has to name
MISTAKES = {
    ("--nonsense",): "--nonsense",
    ("-x",): "'x'",
    ("status", "--nonsense"): "--nonsense",
    ("status", "more"): "'more'",
    ("check", "--nonsense"): "--nonsense",
    ("check", "more"): "'more'",
    ("prove", "--nonsense"): "--nonsense",
    ("prove", "nonsense"): "'nonsense'",
    ("prove", "--json", "--markdown"): "--markdown",
    ("ledger",): "on, off or show",
    ("ledger", "--nonsense"): "--nonsense",
    ("ledger", "maybe"): "'maybe'",
    ("ledger", "on", "off"): "'off'",
    ("ledger", "show", "--memory", "8"): "--memory",
    ("ledger", "on", "--json"): "--json",
    ("ledger", "on", "--memory", "0"): "'0': expected a whole number of 1 to 2048",
    ("help", "--nonsense"): "--nonsense",
    ("help", "status", "check"): "'check'",
    ("help", "nonsense"): "'nonsense'",
    ("version", "more"): "'more'",
    ("nonsense",): "'nonsense'",
    ("",): "''",
    ("statsu",): "'status'",
    ("--width",): "--width",
    ("--width", "wide"): "'wide': expected a whole number of 40 to 1000",
    ("--width", "39"): "'39': expected a whole number of 40 to 1000",
    ("--width", "1001"): "'1001'",
    ("--width", "-80"): "'-80'",
    ("--width", "80x"): "'80x'",
    ("--width", "99999999999999999999"): "'99999999999999999999'",
    ("--interval", "soon"): "'soon': expected a number of 0.1 to 3600",
    ("--interval", "0"): "'0'",
    ("--interval", "-1"): "'-1'",
    ("--interval", "nan"): "'nan'",
    ("--interval", "1.2.3"): "'1.2.3'",
    ("--interval", "1e1"): "'1e1'",
    ("--colour", "red"): "'red': expected auto, always or never",
    ("--color=red",): "'red': expected auto, always or never",
    ("--reader", "ss"): "'ss': expected diag, bpf or auto",
    ("--kind", "ports"): "'ports': expected local-ports, bind-ports",
    ("--kind", ""): "''",
    ("--netns", "nowhere"): "'nowhere': expected a name under /run/netns",
    ("--netns", "../../proc/1/ns/net"): "'../../proc/1/ns/net'",
    ("--netns", "1"): "'1'",
    ("check", "--netns", "nowhere"): "'nowhere'",
    ("check", "--kind", "ports"): "'ports'",
    ("check", "--warn", "much"): "'much': expected a percentage",
    ("check", "--warn", "101%"): "'101%'",
    ("check", "--critical", "95 %"): "'95 %'",
    ("check", "--warn", "90", "--critical", "80"): "warn is above critical",
    ("check", "--to", "10.1.2.3"): "'10.1.2.3': expected an address and a port",
    ("check", "--to", "::1:80"): "'::1:80'",
    ("check", "--to", "10.1.2.3:0"): "'10.1.2.3:0'",
    ("check", "--to", "example.com:80"): "'example.com:80'",
    ("check", "--need", "5"): "--to",
    ("check", "--rate", "5"): "--to",
    ("check", "--to", "10.1.2.3:80", "--need", "none"): "'none'",
    ("check", "--to", "10.1.2.3:80", "--rate", "-5"): "'-5'",
    ("check", "--to", "10.1.2.3:80", "--rate", "5/min"): "'5/min'",
    ("check", "--to", "10.1.2.3:80", "--kind", "orphans"): "--kind orphans",
}


def mistakes_are_named_in_one_line(problems):
    for arguments, named in MISTAKES.items():
        run = Run(*arguments)
        problems.status(run, USAGE)
        problems.expect(run, named in run.err, f"expected {named!r} in the message")
        problems.expect(run, run.err.startswith("lastport") and run.err.count("\n") == 1,
                        "expected one line that says who speaks")
        problems.expect(run, run.out == "", "expected no output")


def every_kind_is_taken(problems):
    kinds = re.search("expected (.*)", Run("--kind", "?").err)[1].split(", ")
    if len(kinds) < 9:
        problems.append(f"only these kinds: {kinds}")
    for kind in kinds:
        run = Run("--json", "--kind", kind)
        problems.status(run, 0)
        found = {limit["kind"] for limit in json.loads(run.out)["limits"]}
        problems.expect(run, found <= {kind}, f"expected {kind} only")


def versions_and_help_go_to_the_output(problems):
    for arguments in (("--version",), ("-V",), ("version",), ("status", "--version")):
        run = Run(*arguments)
        problems.status(run, 0)
        problems.expect(run, re.fullmatch(r"lastport \d+\.\d+\.\d+\n", run.out), "expected a version")
    for arguments in (("--help",), ("-?",), ("help",), ("status", "--help"), ("check", "--help"),
                      ("help", "check"), ("help", "version"), ("help", "help")):
        run = Run(*arguments)
        problems.status(run, 0)
        problems.expect(run, "--help" in run.out and not run.err, "expected help")
        problems.expect(run, max(map(len, run.out.splitlines())) <= 80, "expected 80 columns")


# ---- outputs that break -----------------------------------------------------------------------

# of this namespace alone: whatever the rest of the machine is near to
CHECK = ("check", "--netns", "self", "--kind", "local-ports")
NOT_MOUNTED = 71
ANSWERS = [("status",), ("prove", "--list"), ("prove", "--list", "--json"), ("--json",), CHECK, ("--version",), ("--help",), ("check", "--help")]


def a_full_disk_is_told(problems):
    for arguments in ANSWERS:
        with open("/dev/full", "wb") as full:
            run = Run(*arguments, stdout=full)
        problems.status(run, IO_ERROR)
        problems.expect(run, "No space left on device" in run.err and run.err.count("\n") == 1,
                        "expected the reason in one line")


def where_to_look_at_what_is_provoked_is_told(problems):
    with open("/dev/full", "wb") as full:
        run = Run("prove", "--provoke", "accept-queue", "--for", "30", stdout=full)
    problems.status(run, IO_ERROR)
    problems.expect(run, "No space left on device" in run.err and run.err.count("\n") == 1,
                    "expected the reason in one line")


@contextlib.contextmanager
def hidden(folder):
    """The run's own: the mounts of this test are its own too."""
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def what_is_not_mounted_is_told(problems):
    # a build that looks for leaks at its end does so by /proc, and has a status of its own
    for_leaks = "detect_leaks=1" in os.environ.get("ASAN_OPTIONS", "")
    with hidden("/proc"):
        for arguments, status in ((("status",), NOT_MOUNTED), (("check",), 3),
                                  (("plan", "--rate", "1"), NOT_MOUNTED),
                                  (("explain", "EMFILE"), NOT_MOUNTED)):
            run = Run(*arguments)
            if not for_leaks:
                problems.status(run, status)
            problems.expect(run, "/proc is not mounted" in run.out + run.err, "expected what is missing")
    with hidden("/proc/sys"):
        run = Run("status", "--json", "--netns", "self")
        problems.status(run, 0)
        problems.expect(run, "/proc/sys/net/ipv4/ip_local_port_range is not there" in
                        [gap["why"] for gap in json.loads(run.out)["incomplete"]],
                        "expected what is missing")
        problems.status(Run("check", "--netns", "self", "--kind", "local-ports"), 3)


def a_closed_output_is_told(problems):
    for arguments in ANSWERS:
        run = Run(*arguments, stdout=None, preexec_fn=lambda: os.close(1))
        problems.status(run, IO_ERROR)
        problems.expect(run, "standard output is closed" in run.err, "expected the reason")


def own_descriptors(*closed):
    """How many descriptors the command has of its own, by its own account."""
    with subprocess.Popen([LASTPORT, "--json", "--kind", "file-descriptors", "--reader", "diag"],
                          env=WORLD, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          preexec_fn=lambda: [os.close(fd) for fd in closed]) as child:
        answer = json.loads(child.stdout.read())
        return next(limit["used"] for limit in answer["limits"]
                    if limit["scope"].get("pid") == child.pid)


def who_allows_itself_next_to_none_is_short_of_none(problems):
    """A sandbox."""
    with subprocess.Popen(["sh", "-c", "ulimit -n 0; echo; read -r line"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        try:
            child.stdout.readline()
            limits = json.loads(Run("--json", "--kind", "file-descriptors").out)["limits"]
            if any(limit["scope"].get("pid") == child.pid for limit in limits):
                problems.append("a process that may have no descriptor is told to be full")
        finally:
            child.stdin.close()


def other_closed_descriptors_do_no_harm(problems):
    usual = own_descriptors()
    for closed in ((0,), (2,), (0, 2)):
        if own_descriptors(*closed) != usual:
            problems.append(f"with {closed} closed, others were given those numbers")


def a_broken_pipe_is_quiet(problems):
    for arguments in ANSWERS:
        for handler in (signal.SIG_DFL, signal.SIG_IGN):
            reading, writing = os.pipe()
            os.close(reading)
            run = Run(*arguments, stdout=writing,
                      preexec_fn=lambda how=handler: signal.signal(signal.SIGPIPE, how))
            os.close(writing)
            problems.expect(run, run.err == "", "expected silence")
            problems.status(run, 0)


# ---- terminals and locales --------------------------------------------------------------------

def on_a_terminal(*arguments, env=None, columns=80):
    """The output of a run on a terminal of its own, as text."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    text = b""
    with subprocess.Popen([LASTPORT, *arguments], stdin=slave, stdout=slave, stderr=slave,
                          env=WORLD | {"TERM": "xterm"} | (env or {})) as child:
        os.close(slave)
        deadline = time.monotonic() + TIMEOUT_S
        while select.select([master], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                text += os.read(master, 65536)
            except OSError:  # the child has gone, and its end of the terminal with it
                break
        child.kill()
    os.close(master)
    return text.decode()


def colour_only_where_it_can_be_seen(problems):
    esc = "\033["
    cases = [
        ("a terminal", on_a_terminal("status"), True),
        ("a terminal, --colour=never", on_a_terminal("--colour=never"), False),
        ("a terminal, NO_COLOR", on_a_terminal(env={"NO_COLOR": "1"}), False),
        ("a terminal, NO_COLOR empty", on_a_terminal(env={"NO_COLOR": ""}), True),
        ("a terminal, NO_COLOR, always",
         on_a_terminal("--color=always", env={"NO_COLOR": "1"}), True),
        ("a dumb terminal", on_a_terminal(env={"TERM": "dumb"}), False),
        ("a terminal, JSON", on_a_terminal("--json"), False),
        ("a pipe", Run(env={"TERM": "xterm"}).out, False),
        ("a pipe, always", Run("--colour", "always").out, True),
    ]
    for name, text, wanted in cases:
        if (esc in text) != wanted:
            problems.append(f"{name}: {'no ' if wanted else ''}colour: {text[:200]!r}")
        if not text:
            problems.append(f"{name}: no output")


def widest(text):
    return max(len(line) for line in re.sub(r"\033\[[0-9;]*m|\r", "", text).splitlines())


def the_width_is_the_terminals(problems):
    # the first line goes as far as it can, with the time where there is room
    with held(2, family=socket.AF_INET6):
        widths = {
            "terminal of 72": (widest(on_a_terminal(columns=72)), 72),
            "terminal of 72, --width 120": (widest(on_a_terminal("--width", "120", columns=72)), 120),
            "terminal of 72, COLUMNS=120": (widest(on_a_terminal(env={"COLUMNS": "120"}, columns=72)), 72),
            "pipe": (widest(Run().out), 80),
            "pipe, COLUMNS=120": (widest(Run(env={"COLUMNS": "120"}).out), 120),
            "pipe, COLUMNS=wide": (widest(Run(env={"COLUMNS": "wide"}).out), 80),
            "pipe, --width 72": (widest(Run("--width", "72", env={"COLUMNS": "120"}).out), 72),
        }
    for name, (width, most) in widths.items():
        if width > most or (most == 120 and width <= 80):
            problems.append(f"{name}: {width} columns")


def plain_ascii_where_the_locale_is(problems):
    for locale in ("C", "POSIX", "xx_XX.nonsense"):
        for arguments in (("status",), CHECK):
            run = Run(*arguments, env={"LC_ALL": locale})
            problems.expect(run, run.out.isascii(), f"expected ASCII in {locale}")
    run = Run()
    problems.expect(run, " · " in run.out, "expected more than ASCII in C.UTF-8")


# ---- thresholds, by real connections ----------------------------------------------------------

def connect_to(address, family):
    """A connection that leaves no TIME_WAIT to the next test: it is reset in the end."""
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.connect((address, 8080))
    return client


@contextlib.contextmanager
def held(n, family=socket.AF_INET, backlog=64):
    """n connections to a listener in here; gives its address and port as text."""
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 8080))
        listener.listen(backlog)
        for _ in range(n):
            stack.enter_context(connect_to(address, family))
        yield f"{address}:8080" if family == socket.AF_INET else f"[{address}]:8080"


def thresholds_are_reached(problems):
    for used, verdict in ((4, OK), (5, WARNING), (7, WARNING), (8, CRITICAL), (PORTS, CRITICAL)):
        with held(used):
            run = Run(*CHECK, "--warn", "50%", "--critical", "80")
        problems.status(run, verdict)
        word = ("OK", "WARNING", "CRITICAL")[verdict]
        problems.expect(run, run.out.startswith(f"LASTPORT {word} - local-ports 127.0.0.1 → 127.0.0.1:8080"),
                        f"expected {word} and the pool's name")
        problems.expect(run, run.out.endswith(f" | local-ports={used * 10}.00%;50;80;0;100\n"),
                        "expected the figures")
        problems.expect(run, run.out.count("\n") == 1 and run.out.count("|") == 1, "expected one line")


def one_destination_can_be_asked_for(problems):
    with held(8) as there:
        easy = ("--to", there, "--warn", "100%", "--critical", "100%", "--netns", "self")
        for more, verdict in (((), OK), (("--need", "2"), OK), (("--need", "3"), CRITICAL),
                              (("--rate", "0.03"), OK), (("--rate", "0.1/s"), CRITICAL)):
            run = Run("check", *easy, *more)
            problems.status(run, verdict)
            problems.expect(run, f"to {there}: " in run.out and " left=2;;" in run.out,
                            "expected the destination and what is left")
        run = Run("check", "--to", "127.0.0.1:9", "--netns", "self", "--need", str(PORTS))
        problems.status(run, OK)
        problems.expect(run, "a new destination" in run.out, "expected a new destination")


def asleep(child):
    """Waits until the command sleeps between its two looks."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and child.poll() is None:
        with open(f"/proc/{child.pid}/wchan", encoding="ascii") as file:
            if "nanosleep" in file.read():
                return True
        time.sleep(0.01)
    return False


def two_looks_tell_growth(problems):
    more, left, interval = 3, PORTS - 5, 5
    with held(2), subprocess.Popen(
            [LASTPORT, "--json", "--exact", "--netns", "self", "--kind", "local-ports", "--interval",
             str(interval)],
            env=WORLD, stdout=subprocess.PIPE) as child:
        if not asleep(child):
            problems.append("the command does not sleep between two looks")
        clients = [connect_to("127.0.0.1", socket.AF_INET) for _ in range(more)]
        limits = json.loads(child.stdout.read())["limits"]
        for client in clients:
            client.close()
    pool = next(limit for limit in limits if limit["scope"]["remote_port"] == 8080)
    soonest = left * interval / more
    if pool["used"] != PORTS - left or not soonest - 0.1 <= pool["exhausted_in_s"] < 2 * soonest:
        problems.append(f"expected to run out in {soonest:.1f} s or a bit later: {pool}")


@contextlib.contextmanager
def as_nobody():
    """How Run does it as an ordinary user, who may not look into the checkout's folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield {"program": shutil.copy(LASTPORT, folder), "user": NOBODY, "group": NOBODY,
               "extra_groups": []}


def what_is_not_seen_is_not_ok(problems):
    with as_nobody() as nobody:
        run = Run("check", "--kind", "local-ports", **nobody)
        problems.status(run, UNKNOWN)
        problems.expect(run, "LASTPORT UNKNOWN" in run.out and "not all was seen" in run.out,
                        "expected to be told what is missing")
        with held(PORTS):
            full = Run("check", "--kind", "local-ports", **nobody)
        problems.status(full, CRITICAL)
        problems.expect(full, "not all was seen" in full.out, "expected to be told what is missing")
        problems.status(Run(*CHECK, **nobody), OK)
        run = Run("status", **nobody)
        answer = json.loads(Run("--json", **nobody).out)
    problems.status(run, 0)
    problems.expect(run, re.search(r"^.* · incomplete", run.out, re.M) and "Not seen" in run.out,
                    "expected to be told what is missing")
    if answer["complete"] or not answer["incomplete"]:
        problems.append("JSON says that it is complete")


def names_of_others_stay_in_their_place(problems):
    """A program may call itself anything: no other line, colour or figure comes of it."""
    name = "a|b=\033[31m\nc"
    full = (f"import ctypes, os, resource, sys; ctypes.CDLL(None).prctl(15, {name.encode()!r});"
            "held = [os.dup(0) for _ in range(61)]; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
            "print(flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", full], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        check = Run("check", "--kind", "file-descriptors")
        text = Run("--kind", "file-descriptors", "--all")
        answer = json.loads(Run("--json", "--kind", "file-descriptors").out)
        child.stdin.close()
    problems.status(check, CRITICAL)
    problems.expect(check, check.out.count("|") == 1 and check.out.count("\n") == 1,
                    "expected one line with one set of figures")
    for run in (check, text):
        problems.expect(run, "\033" not in run.out, "expected no escape sequence")
    problems.expect(text, "a|b=?[31m?c" in text.out, "expected the name, made harmless")
    if not any(limit["scope"].get("command") == "a|b=?[31m?c" for limit in answer["limits"]):
        problems.append("JSON has no such command")


def the_main_screen_shows_what_is_in_use(problems):
    with held(8):
        run = Run("--netns", "self")
    problems.status(run, 0)
    row = next((line for line in run.out.splitlines() if "local ports" in line), "")
    problems.expect(run, re.fullmatch(
        r"80\.0 %\s+local ports\s+127\.0\.0\.1 → 127\.0\.0\.1:8080\s+8 / +10\s+2\s+–", row),
        f"expected the pool in a row, not {row!r}")
    pools = json.loads(Run("--json", "--exact", "--kind", "local-ports", "--netns", "self").out)["limits"]
    new = [pool for pool in pools if pool["scope"]["remote"] is None]
    if [pool["capacity"] for pool in new] != [PORTS] * len(new) or not new:
        problems.append(f"new destinations: {new}")


if __name__ == "__main__":
    sys.exit(run_inside([
        mistakes_are_named_in_one_line,
        every_kind_is_taken,
        versions_and_help_go_to_the_output,
        a_full_disk_is_told,
        where_to_look_at_what_is_provoked_is_told,
        what_is_not_mounted_is_told,
        a_closed_output_is_told,
        who_allows_itself_next_to_none_is_short_of_none,
        other_closed_descriptors_do_no_harm,
        a_broken_pipe_is_quiet,
        colour_only_where_it_can_be_seen,
        the_width_is_the_terminals,
        plain_ascii_where_the_locale_is,
        thresholds_are_reached,
        one_destination_can_be_asked_for,
        two_looks_tell_growth,
        what_is_not_seen_is_not_ok,
        names_of_others_stay_in_their_place,
        the_main_screen_shows_what_is_in_use,
    ], lambda: small_range(PORTS)))
