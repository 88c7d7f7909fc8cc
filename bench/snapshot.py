# SPDX-License-Identifier: LGPL-2.1-or-later
"""One look at a namespace full of TIME_WAIT: lastport beside ss and awk."""

import json
from collections import Counter
from time import monotonic

from tools import BUILD, LASTPORT, Failed, Namespace, median, ratio, target, target_lines

SIZES = [1_000, 10_000, 100_000, 1_000_000]
GROUPS = 800
ROUNDS = {1_000: 25, 10_000: 15, 100_000: 9, 1_000_000: 5}
# A size holds as long as so much of it is left; then the provoker tops it up.
LEAST = 0.9
# From so many seconds on others are made: when a million end, the kernel is busy with that.
HOLDS_S = 25

SS = "ss -Htan state time-wait | "
# By pool: pairs of local address and peer, by the cheapest awk that does it; `sub()` on the local
# port takes as long.
BY_POOL = SS + ("awk '{c[substr($3, 1, index($3, \":\")) \" \" $4]++} "
                "END {for (k in c) print c[k], k}'")
# What people type first, and what the targets are set against: it keeps the local port, so that each
# socket is a group of its own.
BY_TUPLE = SS + "awk '{c[$3 \" \" $4]++} END {for (k in c) print c[k], k}'"
OURS = "lastport"
EXACT = "lastport --exact"
DIAG = "lastport --reader=diag"
BPF = "lastport --reader=bpf"
PIPELINE = "ss | awk, ports kept"
CHEAPEST = "ss | awk, by pool"
HERE = [LASTPORT, "--netns", "self"]
COMMANDS = {
    OURS: HERE,
    EXACT: [*HERE, "--exact"],
    DIAG: [*HERE, "--reader=diag"],
    BPF: [*HERE, "--reader=bpf"],
    BPF + " --exact": [*HERE, "--reader=bpf", "--exact"],
    "lastport --all --json": [*HERE, "--all", "--json"],
    CHEAPEST: ["sh", "-c", BY_POOL],
    PIPELINE: ["sh", "-c", BY_TUPLE],
    "ss -tan": ["ss", "-tan"],
    "ss -s": ["ss", "-s"],
}


def measure_rounds(namespace, size, runs, held):
    """Each command in turn; the order turns round from round to round."""
    begun = monotonic()
    while len(held) < ROUNDS[size] and monotonic() - begun < HOLDS_S:
        before = namespace.time_waits()
        if before < size * LEAST:
            before = namespace.ask(size)
        names = list(COMMANDS) if len(held) % 2 == 0 else list(reversed(COMMANDS))
        for name in names:
            runs[name].append(namespace.measure(COMMANDS[name]))
        held.append([before, namespace.time_waits()])


def counted_by_awk(namespace):
    lines = namespace.output(COMMANDS[CHEAPEST]).splitlines()
    return {(local.rstrip(":"), peer): int(count)
            for count, local, peer in (line.split() for line in lines)}


def counted_by_lastport(namespace):
    """The pools that it lists: those that cannot matter are summed."""
    report = json.loads(namespace.output([*HERE, "--all", "--json", "--exact"]))
    torn = [gap["why"] for gap in report["incomplete"] if gap["what"] == "sockets"]
    if torn:
        raise Failed(f"lastport could not read all sockets: {torn[0]}")
    pools = Counter()
    for limit in report["limits"]:
        scope = limit.get("scope", {})
        if limit["kind"] == "local-ports" and scope.get("remote"):
            peer = f"{scope['remote']}:{scope['remote_port']}"
            pools[scope["local"], peer] += limit["states"].get("time_wait", 0)
    return pools


def compare_counts(namespace, size):
    """Group by group, at a moment when nothing came or went."""
    for _ in range(3):
        before = namespace.ask(size)
        awk, ours = counted_by_awk(namespace), counted_by_lastport(namespace)
        if namespace.time_waits() == before:
            break
    else:
        raise Failed(f"{size} TIME_WAITs never held still for a comparison")
    wrong = [key for key, count in ours.items() if awk.get(key) != count]
    if wrong:
        raise Failed(f"{wrong[0]}: {ours[wrong[0]]} by lastport, {awk.get(wrong[0])} by awk")
    return {"groups": len(awk), "sockets": sum(awk.values()),
            "listed": len(ours), "listed_sockets": sum(ours.values())}


def measure_size(size):
    runs = {name: [] for name in COMMANDS}
    held = []
    while len(held) < ROUNDS[size]:
        with Namespace(str(BUILD / "bench" / "time_wait"), "--groups", str(GROUPS)) as namespace:
            namespace.ask(size)
            if not held:
                counts = compare_counts(namespace, size)
            measure_rounds(namespace, size, runs, held)
    return {"time_wait": size, "held": held, "counts": counts,
            "commands": [{"command": name, "ms": median(each, "ms"),
                          "cpu_ms": median(each, "cpu_ms"),
                          "rss_kib": max(run["rss_kib"] for run in each),
                          "ratio": ratio(each, runs[OURS]), "runs": each}
                         for name, each in runs.items()]}


def find(sizes, size, command):
    row = next(row for row in sizes if row["time_wait"] == size)
    return next(each for each in row["commands"] if each["command"] == command)


def times_faster(sizes, size, command, than=PIPELINE):
    """How many times quicker than a pipeline a command is."""
    return ratio(find(sizes, size, than)["runs"], find(sizes, size, command)["runs"])


def targets(sizes):
    small, hundred, large = SIZES[0], SIZES[-2], SIZES[-1]
    largest = max(row["rss_kib"] for size in sizes for row in size["commands"]
                  if row["command"].startswith("lastport")) / 1024
    growth = find(sizes, large, OURS)["ms"] / find(sizes, hundred, OURS)["ms"]
    return [
        target(f"{PIPELINE} ÷ {OURS} at {large:,}", times_faster(sizes, large, OURS), 150,
               at_least=True),
        target(f"{OURS} at {large:,} ÷ at {hundred:,}", growth, 1.5, at_least=False),
        target(f"{PIPELINE} ÷ {EXACT} at {large:,}", times_faster(sizes, large, EXACT), 50,
               at_least=True),
        target(f"{PIPELINE} ÷ {DIAG} at {large:,}", times_faster(sizes, large, DIAG), 7,
               at_least=True),
        target("MiB resident, the most at any size", largest, 16, at_least=False),
        target(f"lastport ÷ ss -tan at {small:,}", 1 / find(sizes, small, "ss -tan")["ratio"], 2,
               at_least=False),
        target(f"lastport ÷ ss -s at {small:,}", 1 / find(sizes, small, "ss -s")["ratio"], 3,
               at_least=False),
    ]


def run():
    sizes = [measure_size(size) for size in SIZES]
    cheapest = {command: times_faster(sizes, SIZES[-1], command, CHEAPEST)
                for command in (OURS, EXACT, DIAG)}
    return {"groups": GROUPS, "pipeline": BY_TUPLE, "sizes": sizes, "targets": targets(sizes),
            "times_faster_than_cheapest": cheapest}


def table(measured):
    yield f"{'TIME_WAIT':>10}  {'COMMAND':36}{'MS':>10}{'÷ OURS':>9}{'MiB':>8}"
    for row in measured["sizes"]:
        for each in row["commands"]:
            yield (f"{row['time_wait']:>10,}  {each['command']:36}{each['ms']:>10.2f}"
                   f"{each['ratio']:>9.2f}{each['rss_kib'] / 1024:>8.1f}")
        counts = row["counts"]
        yield (f"{'':12}{counts['listed']:,} of {counts['groups']:,} groups listed, "
               f"each as awk counts it; the others are summed")
    yield from target_lines(measured["targets"])
    for command, times in measured["times_faster_than_cheapest"].items():
        yield f"        {CHEAPEST} ÷ {command} at {SIZES[-1]:,}: {times:.2f}"
