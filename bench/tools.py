# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every bench needs: a namespace with a provoker in it, commands measured in turn."""

import os
import statistics
import subprocess
from pathlib import Path

BUILD = Path(__file__).resolve().parent.parent / "build"
# Another build, to compare two of them.
LASTPORT = os.environ.get("LASTPORT", str(BUILD / "lastport"))


class Failed(Exception):
    """A command that was to be measured did not work: there is nothing to compare."""


class Namespace:
    """A network namespace, alive as long as the provoker that fills it."""

    def __init__(self, *provoker):
        self.provoker = subprocess.Popen(["unshare", "--net", *provoker], text=True, bufsize=1,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.provoker.stdin.close()
        self.provoker.wait()

    def ask(self, wanted):
        """Tells the provoker how many it shall hold; returns how many there are."""
        self.provoker.stdin.write(f"{wanted}\n")
        answer = self.provoker.stdout.readline()
        if not answer:
            raise Failed(f"the provoker ended with status {self.provoker.wait()}")
        return int(answer)

    def inside(self, command):
        return ["nsenter", f"--net=/proc/{self.provoker.pid}/ns/net", *command]

    def output(self, command):
        done = subprocess.run(self.inside(command), check=False, text=True, capture_output=True)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def measure(self, command):
        """{ms, cpu_ms, rss_kib} of one run of the whole process, its output thrown away."""
        text = self.output([str(BUILD / "bench" / "measure"), *command])
        wall_ns, cpu_us, rss_kib, status = map(int, text.split())
        if status:
            raise Failed(f"{' '.join(command)}: wait status {status}")
        return {"ms": wall_ns / 1e6, "cpu_ms": cpu_us / 1e3, "rss_kib": rss_kib}

    def time_waits(self):
        for line in self.output(["cat", "/proc/self/net/sockstat"]).splitlines():
            words = line.split()
            if words[0] == "TCP:":
                return int(words[words.index("tw") + 1])
        raise Failed("sockstat has no TCP line")


def median(runs, figure):
    return statistics.median(run[figure] for run in runs)


def ratio(theirs, ours):
    """The median of the ratios, round by round: what the machine does besides hits both."""
    return statistics.median(a["ms"] / b["ms"] for a, b in zip(theirs, ours))


def target(what, got, bound, at_least):
    return {"what": what, "got": got, "bound": bound, "at_least": at_least,
            "met": got >= bound if at_least else got <= bound}


def target_lines(targets):
    for each in targets:
        sign = "≥" if each["at_least"] else "≤"
        yield (f"{'met   ' if each['met'] else 'MISSED'}  {each['what']}: {each['got']:.2f}"
               f" (target {sign} {each['bound']:g})")
