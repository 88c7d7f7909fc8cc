# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the command (LASTPORT), and tests of it in namespaces of their own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/structure"))
from tap import Tap  # noqa: E402  pylint: disable=wrong-import-position

LASTPORT = os.environ.get("LASTPORT", str(SOURCE / "build/lastport"))
TIMEOUT_S = 30
INSIDE = "LASTPORT_TEST_INSIDE"
# A world that is the same everywhere; a test adds to it.
WORLD = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        WORLD[name] = os.environ[name]


class Run:
    """What one run of the command gave."""

    def __init__(self, *arguments, program=LASTPORT, env=None, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([program, *arguments], stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                              env=WORLD | (env or {}), check=False, **more)
        self.arguments = arguments
        self.status = done.returncode
        self.out = (done.stdout or b"").decode(errors="backslashreplace")
        self.err = done.stderr.decode(errors="backslashreplace")

    def problem(self, what):
        return (f"lastport {' '.join(self.arguments)}: {what}; status {self.status}, "
                f"output {self.out[:300]!r}, errors {self.err[:300]!r}")


class Problems(list):
    """Problems of one test; each expectation adds at most one."""

    def expect(self, run, right, what):
        if not right:
            self.append(run.problem(what))

    def status(self, run, status):
        self.expect(run, run.status == status, f"expected status {status}")


def main(tests):
    """Runs each function of the list; its name is the test's. The program's exit status."""
    tap = Tap()
    for test in tests:
        problems = Problems()
        try:
            test(problems)
        except (OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
            problems.append(f"{type(error).__name__}: {error}")
        tap.check(test.__name__.replace("_", " "), problems)
    return tap.done()


def small_range(ports):
    """So many local ports, and TIME_WAIT keeps them: in a namespace that is nobody else's."""
    for name, text in (("ip_local_port_range", f"40000 {40000 + ports - 1}"), ("tcp_tw_reuse", "0")):
        Path(f"/proc/sys/net/ipv4/{name}").write_text(text, encoding="ascii")


def run_inside(tests, prepare=lambda: None, around=contextlib.nullcontext):
    """Runs the program again in namespaces of its own, and there prepare() and main(tests)."""
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # else a late segment ends a TIME_WAIT: the reset that answers its acknowledgement
        Path("/proc/sys/net/ipv4/tcp_rfc1337").write_text("1", encoding="ascii")
        prepare()
        with around():
            return main(tests)
    os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private",
                          "env", f"{INSIDE}=1", sys.executable, *sys.argv])
    return 1
