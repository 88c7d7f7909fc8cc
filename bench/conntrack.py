# SPDX-License-Identifier: LGPL-2.1-or-later
"""A router's connection tracking of 250,000 entries: lastport beside conntrack and awk."""

import json
from collections import Counter

from tools import BUILD, LASTPORT, Failed, Namespace, median, ratio, target, target_lines

ENTRIES = 250_000
# Below half of nf_conntrack_max, where the default answer does not look at the entries.
FEW, SOME = 1_000, 100_000
ROUNDS, LOOKS = 5, 25

LIST = "conntrack -L 2>/dev/null | "
# By source: the cheapest awk that does it, so that nothing flatters us. Every entry here is TCP.
BY_SOURCE = LIST + "awk -F'[ =]+' '{c[$6]++} END {for (k in c) print c[k], k}'"
# By source, destination and destination port, as lastport tells them.
TALKERS = LIST + ("awk '{for (i = 4; i <= NF; i++) {split($i, w, \"=\"); "
                  "if (w[1] == \"src\" && !s) s = w[2]; if (w[1] == \"dst\" && !d) d = w[2]; "
                  "if (w[1] == \"dport\" && !p) p = w[2]} "
                  "a[s]++; b[d]++; c[p]++; s = d = p = \"\"} "
                  "END {for (k in a) print \"sources\", a[k], k; "
                  "for (k in b) print \"destinations\", b[k], k; "
                  "for (k in c) print \"ports\", c[k], k}'")
OURS = "lastport --kind conntrack-entries"
KIND = ["--netns", "self", "--kind", "conntrack-entries"]
COMMANDS = {
    OURS: [LASTPORT, *KIND],
    "lastport --kind conntrack-entries --reader=diag": [LASTPORT, *KIND, "--reader=diag"],
    "conntrack -L | awk, by source": ["sh", "-c", BY_SOURCE],
    "conntrack -L | awk, by three": ["sh", "-c", TALKERS],
    "conntrack -L": ["conntrack", "-L"],
    "conntrack -C": ["conntrack", "-C"],
}


def counted_by_awk(namespace):
    counts = {"sources": Counter(), "destinations": Counter(), "ports": Counter()}
    for line in namespace.output(COMMANDS["conntrack -L | awk, by three"]).splitlines():
        kind, count, name = line.split()
        counts[kind][name] = int(count)
    return counts


def report(namespace, *options):
    return json.loads(namespace.output([LASTPORT, "--netns", "self", "--json", *options]))


def entries_of(answer):
    found = [limit for limit in answer["limits"] if limit["kind"] == "conntrack-entries"]
    if len(found) != 1:
        raise Failed("lastport lists no conntrack-entries")
    return found[0]


def compare(namespace, reader):
    """Talker by talker; those that are equal may come in another order."""
    awk = counted_by_awk(namespace)
    limit = entries_of(report(namespace, "--kind", "conntrack-entries", "--reader", reader))
    if limit["entries"] != sum(awk["sources"].values()):
        raise Failed(f"{limit['entries']} entries by lastport, another number by awk")
    compared = 0
    for kind, counts in awk.items():
        ours = limit["talkers"][kind]
        most = sorted(counts.values(), reverse=True)[:len(ours)]
        if [each["entries"] for each in ours] != most:
            raise Failed(f"{kind}: {[each['entries'] for each in ours]} by lastport, {most} by awk")
        for each in ours:
            name = each.get("address", str(each.get("port")))
            if counts[name] != each["entries"]:
                raise Failed(f"{name}: {each['entries']} by lastport, {counts[name]} by awk")
        compared += len(ours)
    return compared


def measure_rounds(namespace):
    """Each command in turn, so many rounds; the order turns round from round to round."""
    runs = {name: [] for name in COMMANDS}
    for number in range(ROUNDS):
        names = list(COMMANDS) if number % 2 == 0 else list(reversed(COMMANDS))
        for name in names:
            runs[name].append(namespace.measure(COMMANDS[name]))
    return runs


def least_ms(namespace):
    """Processor time of the default answer, the gauge in it where there is one: the least of
    many, so that what the machine does besides is left out."""
    command = [LASTPORT, "--netns", "self", "--json"]
    return min(namespace.measure(command)["cpu_ms"] for _ in range(LOOKS))


def gauges(namespace):
    measured = [{"entries": 0, "ms": least_ms(namespace)}]
    for entries in (FEW, SOME):
        namespace.ask(entries)
        limit = entries_of(report(namespace))
        if limit["used"] != entries or "talkers" in limit:
            raise Failed(f"the default answer tells {limit['used']} of {entries} entries")
        measured.append({"entries": entries, "ms": least_ms(namespace)})
    return measured


def targets(commands, gauge):
    awk = next(each for each in commands if each["command"] == "conntrack -L | awk, by source")
    ours = [each for each in commands if each["command"].startswith("lastport")]
    none, few, some = (each["ms"] for each in gauge)
    return [
        target(f"conntrack -L | awk ÷ lastport at {ENTRIES:,}", awk["ratio"], 4, at_least=True),
        target("MiB resident, the most by either reader",
               max(each["rss_kib"] for each in ours) / 1024, 16, at_least=False),
        target("ms of processor for the gauge and its counters", max(few, some) - none, 2, at_least=False),
        target(f"default answer at {SOME:,} entries ÷ at {FEW:,}", some / few, 1.5,
               at_least=False),
    ]


def run():
    with Namespace(str(BUILD / "bench" / "conntrack_table")) as namespace:
        gauge = gauges(namespace)
        namespace.ask(ENTRIES)
        compared = {reader: compare(namespace, reader) for reader in ("auto", "diag")}
        runs = measure_rounds(namespace)
    commands = [{"command": name, "ms": median(each, "ms"), "cpu_ms": median(each, "cpu_ms"),
                 "rss_kib": max(one["rss_kib"] for one in each),
                 "ratio": ratio(each, runs[OURS]), "runs": each} for name, each in runs.items()]
    return {"entries": ENTRIES, "pipelines": [BY_SOURCE, TALKERS], "compared": compared,
            "gauge": gauge, "commands": commands, "targets": targets(commands, gauge)}


def table(measured):
    yield f"{'ENTRIES':>10}  {'COMMAND':48}{'MS':>10}{'÷ OURS':>9}{'MiB':>8}"
    for each in measured["commands"]:
        yield (f"{measured['entries']:>10,}  {each['command']:48}{each['ms']:>10.2f}"
               f"{each['ratio']:>9.2f}{each['rss_kib'] / 1024:>8.1f}")
    for reader, compared in measured["compared"].items():
        yield f"{'':12}{compared} talkers by --reader={reader}, each as awk counts it"
    for each in measured["gauge"]:
        yield f"{each['entries']:>10,}  {'the default answer, ms of processor at least':48}{each['ms']:>10.2f}"
    yield from target_lines(measured["targets"])
