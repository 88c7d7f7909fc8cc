# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections at the highest rate that the machine gives, with the ledger on: what it counts is
what the provoker counted, what it forgot is said, and its memory stays what it was.

LASTPORT_CHURN_S is for how long: some seconds, unless told. For a campaign, 1800.
"""

import os
import subprocess
from collections import Counter

from command import SOURCE, TIMEOUT_S, run_inside
from ledger import Ledger, new_netns, total

SECONDS = float(os.environ.get("LASTPORT_CHURN_S", "3"))
STEPS = max(3, min(60, int(SECONDS / 10)))
PROVOKER = os.environ.get("CONNECTIONS", str(SOURCE / "build/bench/connections"))
# The kernel runs no program at all for an event in some ten million: four that only counted were
# seen to miss the same ones.
UNDELIVERED = 10**6
EACH = 64  # connections for one that is refused
# The kernel's memory as a whole wobbles by what others do: it is held to this in a campaign only.
CAMPAIGN_STEPS = 12
SLACK_KIB = 8192


class Provoker:
    def __init__(self):
        self.child = subprocess.Popen(
            [PROVOKER, "--processes", str(os.cpu_count()), "--refused", str(EACH), "--orderly"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.child.stdin.close()
        self.child.wait(TIMEOUT_S)

    def run(self, seconds):
        """(opened, closed first, refused) since it began."""
        self.child.stdin.write(f"{max(1, int(seconds * 1000))}\n")
        answer = self.child.stdout.readline().split()
        if not answer:
            raise OSError(f"the provoker ended with status {self.child.wait(TIMEOUT_S)}")
        return tuple(map(int, answer[:3]))


def kernel_memory_kib():
    """What the tables are taken from: they are mapped, so vmalloc() gives their pages."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return {line.split(":")[0]: int(line.split()[1]) for line in lines}["VmallocUsed"]


def compare(problems, when, counted, shown):
    opened, closed_first, refused = counted
    lost = {table["name"]: table["lost"] for table in shown["maps"]}
    # an event that an interrupt brought while another one was noted is missed, and said to be
    missed = shown["totals"].get("missed", 0) + 1 + opened // UNDELIVERED
    for what, n, found, less in (
            ("opened", opened, total(shown["owners"], "opened"), 0),
            ("closed first", closed_first, total(shown["owners"], "closed_first"), 0),
            ("refused, by owner", refused, total(shown["owners"], "refused"), 0),
            ("refused, by destination", refused, total(shown["refused"], "refused"),
             lost["refusals"]),
            ("searches", opened, total(shown["search"], "connects"), lost["searches"])):
        if not n - missed - less <= found <= n:
            problems.append(f"{when}: {what}: {found}, but there were {n}; {missed} missed, "
                            f"{less} lost")


def compare_time_waits(problems, when, ledger):
    """Whose TIME_WAIT it is, is known, or one of those that are said to be forgotten."""
    sockets, lost = ledger.tell()
    told = Counter()
    for each in sockets:
        if each["state"] == "time-wait":
            told[bool(each.get("closer"))] += 1
    print(f"# {when}: {told[True]} TIME_WAITs known, {told[False]} not; {lost} were forgotten")
    if told[False] > lost:
        problems.append(f"{when}: of {told[False]} TIME_WAITs nobody is known, "
                        f"but only {lost} were forgotten")
    if not told[True] and not lost:
        problems.append(f"{when}: no TIME_WAIT is known")


def check_memory(problems, begin, end, kernel):
    print(f"# tables {begin} bytes; VmallocUsed {kernel[0]} KiB, then {max(kernel)} at most")
    if begin != end:
        problems.append(f"the tables grew from {begin} to {end} bytes")
    if len(kernel) < CAMPAIGN_STEPS:
        return
    quarter = len(kernel) // 4
    if min(kernel[-quarter:]) > min(kernel[:quarter]) + SLACK_KIB:
        problems.append(f"VmallocUsed grew: {kernel} KiB")


def everything_is_counted_and_memory_is_flat(problems):
    with Ledger() as ledger, Provoker() as provoker:
        begin, kernel = ledger.memory(), []
        for step in range(1, STEPS + 1):
            counted = provoker.run(SECONDS / STEPS)
            shown = ledger.show()
            when = f"after {step * SECONDS / STEPS:.0f} s"
            compare(problems, when, counted, shown)
            compare_time_waits(problems, when, ledger)
            kernel.append(kernel_memory_kib())
            problems += [f"{when}: {table}" for table in shown["maps"]
                         if table["used"] > table["size"]]
        print("# {} opened, {} closed first, {} refused".format(*counted), shown["totals"])
        check_memory(problems, begin, ledger.memory(), kernel)
        whys = {each["why"] for each in shown["refused"]}
        if whys != {"no-port", "bound-port"}:
            problems.append(f"refused for {whys}")


def a_small_ledger_says_what_it_forgot(problems):
    new_netns()
    with Ledger("--memory", "1") as ledger, Provoker() as provoker:
        rows = next(each["size"] for each in ledger.show()["maps"] if each["name"] == "sockets")
        for _ in range(TIMEOUT_S):
            counted = provoker.run(1)
            if counted[0] > 2 * rows:
                break
        shown = ledger.show()
        compare(problems, "small", counted, shown)
        compare_time_waits(problems, "small", ledger)
        if not shown["totals"]["lost_time_wait"]:
            problems.append(f"nothing was forgotten: {shown['maps']}")


if __name__ == "__main__":
    raise SystemExit(run_inside([everything_is_counted_and_memory_is_flat,
                                 a_small_ledger_says_what_it_forgot]))
