#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Breaks a small tree in each way that structure.py knows, and a test log in each way that
summary.py knows: each must be noticed, and the whole tree and the whole log must not."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import structure
import summary
from tap import Tap

LICENCE = "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n"
BODY = "int f(void)\n{\n\treturn 1;\n}\n"
WHOLE = {
    "dev": "#!/bin/sh\n# SPDX-License-Identifier: X\n",
    "include/lastport/lastport.h": LICENCE + "#include <stddef.h>\n",
    "src/base/text.h": LICENCE + "int f(void);\n",
    "src/kernel/proc.c": LICENCE + '#include "snapshot/s.h"\n#include <linux/a.h>\nX("/proc/a");\n',
    "src/view/text.c": LICENCE + '#include "base/text.h"\n#include "limit/l.h"\n\n' + BODY,
    "src/cli/main.c": LICENCE + '#include <lastport/lastport.h>\n',
}
LONG = "\tg();\n"
# name of the check: (file, text that breaks it)
BREAKS = [
    (structure.include_directions, "src/view/a.c", '#include "kernel/kernel.h"\n'),
    (structure.include_directions, "src/base/a.c", '#include "snapshot/s.h"\n'),
    (structure.include_directions, "src/cli/a.c", '#include "view/view.h"\n'),
    (structure.include_directions, "src/limit/a.c", '#include "limit.h"\n'),
    (structure.include_directions, "src/limit/a.c", '#include <lastport/lastport.h>\n'),
    (structure.include_directions, "src/strange/a.c", ""),
    (structure.public_header_stands_alone, "include/lastport/lastport.h", '#include "base/a.h"\n'),
    (structure.only_kernel_reads_kernel, "src/limit/a.c", "#include <linux/inet_diag.h>\n"),
    (structure.only_kernel_reads_kernel, "src/view/a.c", 'f("/proc/net/tcp");\n'),
    (structure.no_long_function, "src/view/a.c", "int f(void)\n{\n" + LONG * 119 + "}\n"),
    (structure.functions_are_short, "src/view/text.c", "int f(void)\n{\n" + LONG * 22 + "}\n"),
    (structure.no_long_file, "lab/a.c", LONG * 601),
    (structure.licence_is_named, "dev", "#!/bin/sh\n"),
    (structure.licence_is_named, "lab/a.h", "int x;\n"),
    (structure.nothing_left_for_later, "README.md", "TO" "DO: write\n"),
    (structure.nothing_left_for_later, "man/a.scd", "see /wo" "rk/x\n"),
]


def problems_of(check, files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return check(structure.Tree(Path(root)))


def test_structure(tap):
    for name, check in structure.CHECKS:
        tap.check(f"a whole tree: {name}", problems_of(check, WHOLE))
    for check, name, text in BREAKS:
        found = problems_of(check, {**WHOLE, name: text})
        tap.check(f"broken {name} is noticed by {check.__name__}",
                  [] if found else [f"not noticed: {text[:60]!r}"])
    untested = {check for _, check in structure.CHECKS} - {check for check, _, _ in BREAKS}
    tap.check("each check was broken", [check.__name__ for check in untested])


def test_symbols(tap):
    asked = structure.pure_folders_ask_nothing
    clean = [("src_kernel_proc.c.o", "openat"), ("src_view_text.c.o", "fwrite"),
             ("src_view_text.c.o", "timersub"), ("src_base_clock.c.o", "clock_gettime")]
    tap.check("objects that may ask, and one that only writes", asked(clean))
    for symbol in ("openat64", "__open_2", "isatty", "getenv", "time", "sysconf", "localtime_r"):
        found = asked([("src_view_text.c.o", symbol)])
        tap.check(f"a view that calls {symbol} is noticed", [] if found else ["not noticed"])


# (what it is, TAP, meson's result, exit status, (passed, failed, skipped) to be counted)
LOGS = [
    ("two good checks", "1..2\nok 1 - a\nok 2 - b\n", "OK", 0, (2, 0, 0)),
    ("one bad check", "1..2\nok 1 - a\nnot ok 2 - b\n", "FAIL", 1, (1, 1, 0)),
    ("bad checks told by the status", "1..1\nnot ok 1 - a\n# why\n", "ERROR", 1, (0, 1, 0)),
    ("bad checks and a sanitizer", "1..1\nnot ok 1 - a\n", "ERROR", 99, (0, 2, 0)),
    ("bad checks and a crash", "1..1\nnot ok 1 - a\n", "ERROR", -6, (0, 2, 0)),
    ("an error without a status", "1..1\nok 1 - a\n", "ERROR", 0, (1, 1, 0)),
    ("a plan at the end", "ok 1 - a # of many\n1..1\n", "OK", 0, (1, 0, 0)),
    ("a skip", "1..2\nok 1 - a\nok 2 - b # SKIP no such thing\n", "OK", 0, (1, 0, 1)),
    ("a skip as cmocka has it", "1..2\nok 1 - a\nnot ok 2 # SKIP b\n", "FAIL", 0, (1, 0, 1)),
    ("a failure that shows nowhere", "1..1\nok 1 - a\n", "FAIL", 0, (1, 1, 0)),
    ("a program that skips all", "1..0 # SKIP no kernel\n", "SKIP", 0, (0, 0, 1)),
    ("a crash half-way", "1..2\nok 1 - a\n", "ERROR", -11, (1, 1, 0)),
    ("a crash at the end", "1..1\nok 1 - a\n", "ERROR", 99, (1, 1, 0)),
    ("no time left", "1..2\nok 1 - a\nok 2 - b\n", "TIMEOUT", -15, (2, 1, 0)),
    ("no plan", "ok 1 - a\n", "OK", 0, (1, 1, 0)),
    ("bailing out", "1..3\nok 1 - a\nBail out! no more\n", "ERROR", 1, (1, 1, 0)),
    ("a failure by intent", "1..1\nnot ok 1 - a # TO" "DO later\n", "OK", 0, (0, 1, 0)),
    ("no output", "", "ERROR", 127, (0, 1, 0)),
]


def counted(*lines):
    totals = summary.Totals()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        log.writelines(lines)
        log.flush()
        totals.add_log("run", log.name)
    return totals.passed, len(totals.failed), len(totals.skipped)


def test_summary(tap):
    for name, text, result, status, wanted in LOGS:
        got = counted(json.dumps({"name": "lastport:unit / a", "stdout": text, "result": result,
                                  "returncode": status, "duration": 0.1}))
        tap.check(f"summary of {name}", [] if got == wanted else [f"wanted {wanted}, got {got}"])
    said = summary.Outcome("# of a\nok 1 - a\n# of b\nnot ok 2 - b\n# why\nok 3 - c\n").failed
    tap.check("summary tells what a failed check said", [] if said == [["b", "# of b", "# why"]]
              else [f"told {said}"])
    for name, lines in (("an empty log", []), ("a torn log", ['{"name": '])):
        got = counted(*lines)
        tap.check(f"summary of {name} is a failure", [] if got[1] else [f"got {got}"])


def test_summary_status(tap):
    program = [sys.executable, summary.__file__]
    for name, arguments in (("nothing was run", []), ("a log is not there", ["a=/nonexistent"]),
                            ("a build broke", ["--broken-builds", "1"])):
        done = subprocess.run(program + arguments, capture_output=True, text=True, check=False)
        last = done.stdout.splitlines()[-1:]
        wrong = done.returncode != 1 or not last or not last[0].startswith("0 passed, ")
        tap.check(f"summary fails where {name}", [f"{done.returncode} {last}"] if wrong else [])


def main():
    tap = Tap()
    for test in (test_structure, test_symbols, test_summary, test_summary_status):
        test(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
