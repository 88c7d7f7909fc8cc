#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures lastport beside the usual tools: ./dev bench [NAME].

A bench is a module of this folder with a function run(), which returns what it measured, and
a function table() of that, which gives lines for people. The figures are kept in results.json.
"""

import importlib
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from tools import Failed

BENCHES = ["conntrack", "ledger", "snapshot"]
RESULTS = Path(__file__).with_name("results.json")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as cpus:
        models = [line.split(":", 1)[1].strip() for line in cpus if line.startswith("model name")]
    return {"kernel": os.uname().release, "processors": os.cpu_count(),
            "model": models[0] if models else None}


def keep(name, measured):
    try:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        results = {}
    results[name] = {"taken_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                     "machine": machine(), **measured}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main(names):
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench: no such bench: {unknown[0]}; there is {', '.join(BENCHES)}", file=sys.stderr)
        return 64
    missed = 0
    for name in names or BENCHES:
        bench = importlib.import_module(name)
        measured = bench.run()
        keep(name, measured)
        print("\n".join(bench.table(measured)))
        missed += sum(not target["met"] for target in measured["targets"])
    print(f"figures are in {RESULTS.relative_to(Path.cwd())}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failure:
        sys.exit(f"bench: {failure}")
