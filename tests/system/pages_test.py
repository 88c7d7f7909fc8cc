# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages and shell completion say what the command says, no less and no more."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from command import LASTPORT, SOURCE, TIMEOUT_S, Run, main

LONG = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
SHORT = re.compile(r"(?<![\w-])-([A-Za-z?])(?=[, \n]|$)")


def commands():
    return re.findall(r"^  ([a-z]+) ", Run("help").out, re.M)


def kinds():
    return re.search("expected (.*)", Run("--kind", "?").err)[1].split(", ")


def claims():
    return {claim["id"] for claim in json.loads(Run("prove", "--list", "--json").out)["claims"]}


def helped(command):
    """The options of a command's --help: the lines of its list only, not what is said of them."""
    text = re.findall(r"^ {2,6}(-.*?)(?: {2,}.*)?$", Run(command, "--help").out, re.M)
    return {(m if m.startswith("--") else f"-{m}") for line in text
            for m in LONG.findall(line) + SHORT.findall(line)}


def section(page, title):
    text = (SOURCE / "man" / f"{page}.scd").read_text(encoding="utf-8")
    return re.search(rf"^# {title}\n(.*?)(?=^# |\Z)", text, re.M | re.S)[1]


def described(page, title="OPTIONS"):
    """The terms of a section's list: its lines that begin with '*'."""
    lines = re.findall(r"^\*.*", section(page, title), re.M)
    return {term for line in lines for term in re.findall(r"\*([^*]+)\*", line)}


def compare(problems, what, has, wanted):
    for name in sorted(wanted - has):
        problems.append(f"{what} lacks {name}")
    for name in sorted(has - wanted):
        problems.append(f"{what} has {name}, which is not there")


def the_page_of_claims_has_every_claim(problems):
    text = (SOURCE / "docs/claims.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[`([a-z0-9-]+)`\].*\| ([a-z-]+) \|$", text, re.M))
    compare(problems, "docs/claims.md", set(rows), claims())
    compare(problems, "the details of docs/claims.md", set(re.findall(r"^## (.*)$", text, re.M)),
            claims())
    for claim, verdict in sorted(rows.items()):
        if verdict not in ("confirmed", "refuted", "depends"):
            problems.append(f"docs/claims.md: {claim} is {verdict}: run it again")


def pages_have_the_options_of_help(problems):
    for command in sorted(set(commands()) - {"help", "version"}):
        options = helped(command)
        if len(options) < 8:
            problems.append(f"{command} --help: only {options}")
        compare(problems, f"lastport-{command}(1)", described(f"lastport-{command}.1"), options)
    compare(problems, "lastport(1)", described("lastport.1"),
            {"-?", "--help", "-V", "--version"})
    compare(problems, "lastport help", helped("help") - {"--usage"}, described("lastport.1"))


def the_page_has_all_commands_and_kinds(problems):
    compare(problems, "lastport(1)", described("lastport.1", "COMMANDS"), set(commands()))
    compare(problems, "lastport(1)", described("lastport.1", "LIMITS"), set(kinds()))
    named = {name for name in kinds() if f"*{name}*" in section("lastport-status.1", "OPTIONS")}
    compare(problems, "lastport-status(1) --kind", named, set(kinds()))


def the_page_has_all_fields_of_json(problems):
    answers = [Run("--json").out]
    answers += [path.read_text(encoding="utf-8") for path in (SOURCE / "tests/golden").glob("*.json")
                if not path.name.startswith(("plan-", "explain-"))]
    fields = set()
    for answer in map(json.loads, answers):
        fields |= set(answer) | {field for limit in answer["limits"] for field in limit}
        for finding in answer["findings"]:
            parts = [finding, *finding.get("explains", []), *finding["remedies"]]
            parts += [change for remedy in finding["remedies"] for change in remedy["changes"]]
            fields |= {field for part in parts for field in part}
    named = set(re.findall(r"\*([a-z0-9_]+)\*", section("lastport-status.1", "JSON")))
    for name in sorted(fields - named):
        problems.append(f"lastport-status(1) lacks the field {name}")


def the_page_of_findings_has_every_rule(problems):
    text = (SOURCE / "docs/findings.md").read_text(encoding="utf-8")
    rules = {rule for source in (SOURCE / "src/finding").glob("*.c")
             for rule in re.findall(r'^const struct lp_rule \w+ = \{\s+\.id = "([a-z-]+)",$',
                                    source.read_text(encoding="utf-8"), re.M)}
    if len(rules) < 24:
        problems.append(f"only {len(rules)} rules were found")
    compare(problems, "docs/findings.md", set(re.findall(r"^\| `([a-z-]+)` \|", text, re.M)), rules)


def the_librarys_page_has_all_functions(problems):
    header = (SOURCE / "include/lastport/lastport.h").read_text(encoding="utf-8")
    functions = set(re.findall(r"\b(lastport_\w+)\(", re.sub(r"/\*.*?\*/", "", header, flags=re.S)))
    named = set(re.findall(r"\*(lastport_\w+)\*\(\)", section("liblastport.3", "FUNCTIONS")))
    compare(problems, "liblastport(3)", named, functions)


def the_librarys_example_compiles(problems):
    example = re.search(r"```\n(.*?)```", section("liblastport.3", "EXAMPLES"), re.S)[1]
    example = example.replace("\\\\", "\\")
    done = subprocess.run(
        [os.environ.get("CC", "cc"), "-Wall", "-Werror", "-fsyntax-only", "-x", "c", "-",
         "-I", str(SOURCE / "include")],
        input=example, text=True, capture_output=True, check=False, timeout=TIMEOUT_S)
    if done.returncode:
        problems.append(done.stderr)


def complete(*words):
    """What bash offers for the last of the words, as readline takes them apart."""
    script = """
        set -u
        source "$1"; shift
        COMP_WORDS=("$LASTPORT" "$@"); COMP_CWORD=$#
        _lastport
        printf '%s\\n' "${COMPREPLY[@]}"
        complete -p lastport >/dev/null
    """
    done = subprocess.run(["bash", "--norc", "-c", script, "bash",
                           str(SOURCE / "packaging/lastport.bash"), *words],
                          text=True, capture_output=True, check=True, timeout=TIMEOUT_S,
                          env=os.environ | {"LASTPORT": LASTPORT})
    if done.stderr:
        raise ValueError(f"completion of {words}: {done.stderr}")
    return set(done.stdout.split())


def completion_has_the_options_of_help(problems):
    for command in commands():
        wanted = {option for option in helped(command) if option.startswith("--")}
        compare(problems, f"completion of {command}", complete(command, "--"), wanted)
    compare(problems, "completion without a command", complete("--"),
            {option for option in helped("status") if option.startswith("--")})


def completion_has_commands_and_values(problems):
    everything = set(commands())
    some = {command for command in everything if command.startswith("s")}
    cases = [
        (complete(""), everything), (complete("s"), some), (complete("help", ""), everything),
        (complete("status", "--kind", ""), set(kinds())),
        (complete("check", "-k", "t"), {k for k in kinds() if k.startswith("t")}),
        (complete("check", "--kind", "=", "local"), {"local-ports"}),
        (complete("check", "--kind", "="), set(kinds())),
        (complete("--colour", "a"), {"auto", "always"}),
        (complete("--reader", ""), {"auto", "bpf", "diag"}),
        (complete("--netns", "s"), {"self"}),
        (complete("prove", "time-wait-h"), {claim for claim in claims()
                                            if claim.startswith("time-wait-h")}),
        (complete("prove", "time-wait-holds-descriptors", ""), claims()),
        (complete("--interval", ""), set()), (complete("check", "x"), set()),
    ]
    for number, (has, wanted) in enumerate(cases):
        compare(problems, f"completion, case {number}", has, wanted)


def completed_values_are_taken(problems):
    for option in ("--colour", "--reader"):
        for value in complete("status", option, ""):
            problems.status(Run("status", option, value), 0)


def pages_are_made_without_a_word(problems):
    scdoc = next((Path(folder, "scdoc") for folder in os.environ["PATH"].split(":")
                  if Path(folder, "scdoc").exists()), None)
    if not scdoc:
        problems.append("scdoc is not installed")
        return
    for page in sorted((SOURCE / "man").glob("*.scd")):
        with tempfile.TemporaryFile() as out, page.open("rb") as source:
            done = subprocess.run([scdoc], stdin=source, stdout=out, stderr=subprocess.PIPE,
                                  check=False, timeout=TIMEOUT_S)
        if done.returncode or done.stderr:
            problems.append(f"{page.name}: {done.stderr.decode()}")


if __name__ == "__main__":
    if not Path(LASTPORT).exists():
        sys.exit(f"{LASTPORT}: not there; LASTPORT says where it is")
    sys.exit(main([
        pages_have_the_options_of_help,
        the_page_has_all_commands_and_kinds,
        the_page_has_all_fields_of_json,
        the_page_of_claims_has_every_claim,
        the_page_of_findings_has_every_rule,
        the_librarys_page_has_all_functions,
        the_librarys_example_compiles,
        completion_has_the_options_of_help,
        completion_has_commands_and_values,
        completed_values_are_taken,
        pages_are_made_without_a_word,
    ]))
