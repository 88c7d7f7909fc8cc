#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts every TAP check of some `meson test` runs and says what went wrong.

usage: summary.py [--broken-builds N] NAME=TESTLOG.json...

Ends with one line, "N passed, N failed, N skipped", and exits 1 unless something passed and
nothing failed. A test that dies, runs out of time or does not finish its plan is a failure
whatever it printed before. Where CI is set and the kernel lets us make namespaces, a skip is one
too: there everything can be run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import defaultdict

RESULT = re.compile(r"(not )?ok\b(?:\s+\d+)?\s*-?\s*([^#]*)(?:#\s*(\w+)\s*(.*))?")
PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*skip\w*\s*(.*))?", re.IGNORECASE)
MOST_NOTES = 12  # lines shown of what a failed check says while it runs, and after it
SANITIZER_STATUS = 99  # as tests/meson.build asks for


class Outcome:
    """What one test program's TAP says."""

    def __init__(self, tap):
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.plan = None
        self.bailed = None
        self.said = []  # comments since the last check
        self.notes = None  # the failed check that comments belong to, where the last one failed
        for line in tap.splitlines():
            self._read(line)

    def _read(self, line):
        if line.startswith("#"):
            self.said = [*self.said, line][-MOST_NOTES:]
            if self.notes is not None and len(self.notes) <= 2 * MOST_NOTES:
                self.notes.append(line)
        elif match := PLAN.fullmatch(line.rstrip()):
            self.plan = int(match[1])
            if self.plan == 0:
                self.skipped.append(f"all of it: {match[2] or 'no reason given'}")
        elif line.startswith("Bail out!"):
            self.bailed = line
        elif match := RESULT.match(line):
            self._read_check(*match.groups())

    def _read_check(self, failed, name, directive, reason):
        said, self.said, self.notes = self.said, [], None
        if (directive or "").lower().startswith("skip"):
            # cmocka has the test's name in place of a reason, and says "not ok"
            self.skipped.append(": ".join(filter(None, (name.strip(), reason.strip()))))
        elif failed:
            self.notes = [name.strip(), *said]
            self.failed.append(self.notes)
        else:
            self.passed += 1

    def complaint(self, result, status):
        """Why the program as a whole failed, or None. result and status are meson's."""
        seen = self.passed + len(self.failed) + len([s for s in self.skipped if self.plan != 0])
        if self.bailed:
            return self.bailed
        if self.plan is None:
            return f"printed no plan ({result.lower()}, exit status {status})"
        if seen != self.plan:
            return f"planned {self.plan} checks, made {seen} ({result.lower()}, exit status {status})"
        if result == "TIMEOUT" or status < 0 or status >= SANITIZER_STATUS:
            return f"{result.lower()}, exit status {status}"
        # By a small status programs tell of failed checks; meson calls that an error too, and
        # cmocka's way to skip a failure.
        well = ("OK", "SKIP", "FAIL") if self.skipped else ("OK",)
        if not self.failed and (status or result not in well):
            return f"{result.lower()}, exit status {status}"
        return None


class Totals:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.seconds = defaultdict(float)

    def add_log(self, run, path):
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                tests = [json.loads(line) for line in log]
        except (OSError, ValueError) as error:
            self.failed.append(f"{run}: no log of the tests: {error}")
            return
        if not tests:
            self.failed.append(f"{run}: not one test was run")
        for test in tests:
            self._add_test(run, test)

    def _add_test(self, run, test):
        # "lastport:system+timing / name"; the name alone where all tests are of one suite
        suite, _, name = test["name"].rpartition(" / ")
        label = f"{run}: {name}"
        outcome = Outcome(test.get("stdout") or "")
        self.seconds[run, suite.rpartition(":")[2] or "all"] += test["duration"]
        self.passed += outcome.passed
        failed = outcome.failed
        if complaint := outcome.complaint(test["result"], test["returncode"]):
            failed.append([complaint, *outcome.said])
        if failed:  # which of its checks the lines on standard error belong to is not told
            failed[-1] += (test.get("stderr") or "").splitlines()[-MOST_NOTES:]
        self.failed += [f"{label}: " + "\n    ".join(check) for check in failed]
        self.skipped += [f"{label}: {check}" for check in outcome.skipped]


def kernel_is_capable():
    """Root that may make namespaces, not in a chroot: then no test has a reason to skip."""
    command = ["unshare", "--net", "--mount", "true"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True,
                                                check=False).returncode == 0


def report(totals, skip_is_failure):
    for (run, suite), seconds in totals.seconds.items():
        print(f"time     {seconds:7.1f} s  {run}, {suite}")
    for line in totals.skipped:
        print(f"skipped  {line}")
    for line in totals.failed:
        print(f"failed   {line}")
    if skip_is_failure and totals.skipped:
        print("failed   everything can be run here, so a skip is a failure")
    failed = len(totals.failed) + (len(totals.skipped) if skip_is_failure else 0)
    skipped = 0 if skip_is_failure else len(totals.skipped)
    print(f"{totals.passed} passed, {failed} failed, {skipped} skipped")
    return 0 if totals.passed and not failed else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken-builds", type=int, default=0)
    parser.add_argument("logs", nargs="*", metavar="NAME=TESTLOG")
    arguments = parser.parse_args()
    totals = Totals()
    totals.failed += ["a build"] * arguments.broken_builds
    for log in arguments.logs:
        totals.add_log(*log.split("=", 1))
    return report(totals, bool(os.environ.get("CI")) and kernel_is_capable())


if __name__ == "__main__":
    sys.exit(main())
