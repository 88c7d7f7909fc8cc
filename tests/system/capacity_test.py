# SPDX-License-Identifier: LGPL-2.1-or-later
"""How `lastport plan` takes its options, other machines' figures, and what it exits with."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from command import LASTPORT, SOURCE, Run, run_inside

CARRIES, DOES_NOT, CANT_BE_SAID, USAGE, CANNOT_READ = 0, 1, 3, 64, 71

MISTAKES = {
    ("--nonsense",): "--nonsense",
    ("more",): "'more'",
    ("--rate", "much"): "'much': expected a rate",
    ("--rate", "0"): "'0'",
    ("--rate", "-5"): "'-5'",
    ("--rate", "5/day"): "'5/day'",
    ("--rate", "1e3"): "'1e3'",
    ("--rate", "2000000000"): "'2000000000'",
    ("--rate", ""): "''",
    ("--rate", "."): "'.'",
    ("--rate", "1.2.3"): "'1.2.3'",
    ("--hold", "long"): "'long': expected a time",
    ("--hold", "5 s"): "'5 s'",
    ("--hold", "-1s"): "'-1s'",
    ("--hold", "5fortnights"): "'5fortnights'",
    ("--requests", "0"): "'0': expected a whole number of 1",
    ("--sources", "1.5"): "'1.5'",
    ("--destinations", "1000001"): "'1000001'",
    ("--closer", "nobody"): "'nobody': expected client, server or both",
    ("--role", "router"): "'router': expected client or server",
    ("--nat=none",): "'none'",
    ("--nat", "--nat-ports", "80"): "'80': expected the first and the last port",
    ("--nat", "--nat-ports", "80-79"): "'80-79'",
    ("--nat", "--nat-ports", "0-79"): "'0-79'",
    ("--nat", "--nat-ports", "1-65536"): "'1-65536'",
    ("--nat-ports", "1-2"): "--nat",
    ("--nat", "--role", "server"): "--role server",
    ("--burst", "5"): "--role server",
    ("--bind-first", "--nat"): "--bind-first",
    ("--bind-first", "--role", "server"): "--bind-first",
    ("--loopback", "--role", "server"): "--loopback",
    ("--netns", "nowhere"): "'nowhere': expected a name under /run/netns",
    ("--netns", "all"): "one namespace",
    ("--width", "5"): "'5': expected a whole number of 40",
}

SETTINGS = """net.ipv4.ip_local_port_range = 32768\t60999
net.ipv4.tcp_tw_reuse = 0
net.ipv4.tcp_max_tw_buckets = 131072
hz = 250
nofile = 1024
"""


def plan(*arguments):
    return Run("plan", "--json", *arguments)


def mistakes_are_named_in_one_line(problems):
    for arguments, named in MISTAKES.items():
        run = Run("plan", *arguments)
        problems.status(run, USAGE)
        problems.expect(run, named in run.err, f"expected {named!r} in the message")
        problems.expect(run, run.err.startswith("lastport") and run.err.count("\n") == 1,
                        "expected one line that says who speaks")
        problems.expect(run, run.out == "", "expected no output")


def the_exit_status_tells(problems):
    problems.status(plan(), CARRIES)
    problems.status(plan("--rate", "1/min"), CARRIES)
    problems.status(plan("--rate", "1000000000"), DOES_NOT)
    run = Run("plan", "--rate", "1000000000")
    problems.status(run, DOES_NOT)
    problems.expect(run, "does not carry" in run.out, "expected it in words")


def units_are_those_of_the_page(problems):
    for rate, opens in (("90", 90), ("90/s", 90), ("90/min", 1.5), ("5400/h", 1.5)):
        wish = json.loads(plan("--rate", rate).out)
        if abs(wish["opens"] - opens) > 0.01:
            problems.append(f"{rate} is {wish['opens']}/s")
    for hold, seconds in (("2", 2), ("2s", 2), ("200ms", 0.2), ("5min", 300), ("1h", 3600)):
        wish = json.loads(plan("--hold", hold).out)
        if abs(wish["wishes"]["hold_s"] - seconds) > 1e-6:
            problems.append(f"{hold} is {wish['wishes']['hold_s']} s")


def written(text):
    file = tempfile.NamedTemporaryFile("w", suffix=".machine")  # pylint: disable=consider-using-with
    file.write(text)
    file.flush()
    return file


def other_machines_are_read(problems):
    with written(SETTINGS) as file:
        run = plan("--machine", file.name, "--hold", "0")
    answer = json.loads(run.out)
    problems.expect(run, abs(answer["highest"] - 455.0) < 0.1, "expected 455.0/s")
    # what one plan used, the next one takes
    with written(run.out) as file:
        again = plan("--machine", file.name, "--hold", "0")
    problems.expect(again, json.loads(again.out) == answer, "expected the same plan")


def a_saved_status_is_read(problems):
    with written(Run("--all", "--json", "--exact", "--netns", "self").out) as file:
        saved = plan("--machine", file.name)
    live = plan()
    now, then = json.loads(live.out), json.loads(saved.out)
    problems.expect(saved, abs(then["highest"] / now["highest"] - 1) < 0.01,
                    f"expected {now['highest']}")
    problems.expect(saved, then["first"] == now["first"], f"expected {now['first']}")


def an_advised_range_carries(problems):
    """Ports that are reserved beside today's range are in the way of a wider one."""
    settings = ("net.ipv4.ip_local_port_range = {}\nnet.ipv4.ip_local_reserved_ports = {}\n"
                "net.ipv4.tcp_tw_reuse = 0\nnofile = 1000000\n")
    reserved = "30000-32767,40000,65000-65535"
    with written(settings.format("32768 60999", reserved)) as file:
        run = plan("--machine", file.name, "--rate", "500")
    told = json.loads(run.out)
    low, high = next(change["range"] for change in told["changes"] if "range" in change)
    for text, status in ((settings.format(f"{low} {high}", reserved), CARRIES),
                         (settings.format(f"{low + 2} {high}", reserved), DOES_NOT)):
        with written(text) as file:
            problems.status(plan("--machine", file.name, "--rate", "500"), status)
    with written(run.out) as file:
        again = json.loads(plan("--machine", file.name, "--rate", "500").out)
    problems.expect(run, again["machine"] == told["machine"] and again["changes"] == told["changes"],
                    f"read again: {again['machine']}")
    problems.expect(run, told["machine"]["net.ipv4.ip_local_reserved_ports"] == reserved,
                    "expected the ports as they were written")


def figures_keep_their_size(problems):
    """Very small ones and very large ones."""
    run = Run("plan", "--rate", "100/h", "--netns", "self")
    problems.expect(run, "0.027 connections/s" in run.out and " 0.0 conn" not in run.out, "expected the rate")
    run = Run("plan", "--rate", "1/h", "--netns", "self")
    problems.expect(run, run.out.startswith("0.0003 connections/s"), "expected the rate")
    run = plan("--rate", "1000000000/s", "--hold", "100000000s")
    problems.expect(run, json.loads(run.out)["memory"] >= 1e18, "expected much memory")


def without_ports_nothing_is_promised(problems):
    with written("nofile = 20000\n") as file:
        for rate, status in (("1000000", DOES_NOT), ("50", CANT_BE_SAID), (None, CANT_BE_SAID)):
            arguments = ["--machine", file.name, "--hold", "1s", *(["--rate", rate] if rate else [])]
            run = Run("plan", "--json", *arguments)
            problems.status(run, status)
            answer = json.loads(run.out)
            told = (answer.get("carries"), "highest" in answer)
            problems.expect(run, told == ((False, True) if status == DOES_NOT else (None, False)) and
                            not any(change["carries_all"] for change in answer["changes"]),
                            "expected no promise")
            run = Run("plan", *arguments)
            problems.status(run, status)
            problems.expect(run, ("can't be said: the port range is not known" in run.out) ==
                            (status == CANT_BE_SAID), "expected what is missing")
        problems.status(Run("plan", "--machine", file.name, "--role", "server"), CARRIES)


def what_is_no_machine_is_told(problems):
    cases = {"": "nothing that a plan uses", "{": "not JSON", "{}": "nothing that a plan uses",
             "net.ipv4.tcp_tw_reuse = often\n": "often"}
    for text, named in cases.items():
        with written(text) as file:
            run = plan("--machine", file.name)
            problems.status(run, USAGE)
            problems.expect(run, named in run.err and file.name in run.err,
                            f"expected {named!r} and the file in the message")
    run = plan("--machine", "/nowhere/at/all")
    problems.status(run, CANNOT_READ)
    problems.expect(run, "/nowhere/at/all: No such file" in run.err, "expected why")


def the_limit_of_descriptors_is_the_callers(problems):
    done = subprocess.run(["sh", "-c", f"ulimit -n 100; exec '{LASTPORT}' plan --rate 20 --hold 6s --json"],
                          capture_output=True, text=True, check=False, timeout=30)
    answer = json.loads(done.stdout)
    if done.returncode != DOES_NOT or answer["first"] != "file-descriptors":
        problems.append(f"status {done.returncode}, {answer['first']} first")
    change = [c for c in answer["changes"] if c["change"] == "nofile"]
    if not change or change[0]["from"] != 100 or change[0]["to"] != 120:
        problems.append(f"changes: {answer['changes']}")


def the_page_has_all_fields(problems):
    page = (SOURCE / "man/lastport-plan.1.scd").read_text(encoding="utf-8")
    named = set(re.findall(r"_([a-z_]+)_", re.search(r"^# JSON\n(.*?)^# ", page, re.M | re.S)[1]))
    fields = set()
    for path in Path(SOURCE / "tests/golden").glob("plan-*.json"):
        answer = json.loads(path.read_text(encoding="utf-8"))
        fields |= set(answer) - {"schema"}
        for part in answer["needs"] + answer["changes"]:
            fields |= set(part)
    for name in sorted(fields - named):
        problems.append(f"lastport-plan(1) lacks the field {name}")
    for name in sorted(named - fields):
        problems.append(f"lastport-plan(1) has the field {name}, which is not there")


def formulas_are_named_as_in_the_code(problems):
    text = (SOURCE / "docs/formulas.md").read_text(encoding="utf-8")
    code = "".join((SOURCE / "src/forecast" / name).read_text(encoding="utf-8")
                   for name in ("plan.c", "search.c"))
    for name in set(re.findall(r"\*\*`(\w+)`\*\*", text)) | {"live", "entries"}:
        if not re.search(rf"\b{name}\(", code):
            problems.append(f"docs/formulas.md: the code has no {name}()")


if __name__ == "__main__":
    sys.exit(run_inside([
        mistakes_are_named_in_one_line,
        the_exit_status_tells,
        units_are_those_of_the_page,
        other_machines_are_read,
        a_saved_status_is_read,
        an_advised_range_carries,
        figures_keep_their_size,
        without_ports_nothing_is_promised,
        what_is_no_machine_is_told,
        the_limit_of_descriptors_is_the_callers,
        the_page_has_all_fields,
        formulas_are_named_as_in_the_code,
    ]))
