#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the source tree to its shape: who may include whom, who may ask the system, sizes, words.

usage: structure.py ROOT [LIBRARY.a]

With the library of all of src/ built, it also checks which system calls its objects ask for.
"""

import re
import statistics
import subprocess
import sys
from pathlib import Path

from tap import Tap

# Which folder of src/ may include headers of which others; its own and base/ always.
MAY_INCLUDE = {
    "base": [],
    "bpf": [],
    "snapshot": [],
    "kernel": ["snapshot", "bpf"],
    "limit": ["snapshot"],
    "forecast": ["limit", "snapshot"],
    "finding": ["limit", "forecast", "snapshot"],
    "history": ["snapshot", "limit"],
    "simulate": ["snapshot"],
    "view": ["snapshot", "limit", "forecast", "finding", "history", "simulate"],
    "action": ["limit", "finding", "snapshot", "kernel", "bpf"],
    "api": ["snapshot", "kernel", "limit", "forecast", "finding", "history", "simulate", "view",
            "action"],
    "daemon": ["snapshot", "kernel", "limit", "forecast", "finding", "history", "simulate", "view",
               "action", "api"],
    "cli": ["lab"],  # prove: the experiments are part of the product
}
# Who uses the library through its installed header.
MAY_INCLUDE_PUBLIC = {"api", "cli", "daemon"}
BASE_MAY_NOT_BE_INCLUDED_BY = {"bpf"}

# Only src/kernel reads the kernel, only src/action and the daemon may open anything else.
KERNEL_READERS = {"kernel", "bpf", "action", "daemon"}
KERNEL_HEADER = re.compile(r"<(linux/|libmnl/|bpf/|netlink/|sys/(socket|ioctl|sysctl|un)\.h)")
# … but for what standard output is: a terminal of some width, a descriptor that is closed.
KERNEL_READER_FILES = {"src/cli/output.c"}
KERNEL_PATH = re.compile(r'"/?(proc|sys|run|dev)/')

# Model in, bytes out: nothing here may learn anything from the system.
PURE = {"snapshot", "limit", "forecast", "finding", "simulate", "view"}
ASKS_THE_SYSTEM = re.compile(
    r"_*(open(at)?(64)?(_2)?|fopen(64)?|freopen|opendir|fdopendir|scandir|glob|popen|system|exec\w*|"
    r"v?fork|posix_spawnp?|socket|connect|bind|ioctl|sysconf|uname|gethostname|getenv|secure_getenv|"
    r"isatty|time|gettimeofday|clock_gettime|clock|localtime(_r)?|mktime|tzset|read(_chk)?|pread|"
    r"readlink(at)?|l?f?stat(64|at|x)?|getpid|get[eu]+id|getpw\w+|getgr\w+|getrlimit(64)?|setns|"
    r"unshare|syscall|if_nametoindex|if_indextoname|getaddrinfo|getnameinfo|setlocale|nl_langinfo)")

LONGEST_FUNCTION = 120
MEDIAN_FUNCTION = 24
LONGEST_FILE = 600
SOURCES = {".c", ".h", ".py", ".sh"}
SKIPPED = re.compile(r"(\.git|build.*|__pycache__|corpus|recorded)$")
WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|not imple" r"mented|/wo" r"rk/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def walk(folder):
    for entry in sorted(folder.iterdir()):
        if SKIPPED.match(entry.name):
            continue
        if entry.is_dir():
            yield from walk(entry)
        else:
            yield entry


class Tree:
    """The files of a checkout, read once."""

    def __init__(self, root):
        self.texts = {}
        for path in walk(root):
            try:
                self.texts[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, FileNotFoundError):
                pass  # recorded bytes; a file that another test made and took away

    def sources(self, *suffixes):
        for name, text in self.texts.items():
            if Path(name).suffix in (suffixes or SOURCES):
                yield name, text

    def scripts(self):
        for name, text in self.texts.items():
            if text.startswith("#!") and Path(name).suffix not in SOURCES:
                yield name, text

    def folders(self):
        """(folder of src/, file, text) of the C files of each."""
        for name, text in self.sources(".c", ".h"):
            parts = name.split("/")
            if parts[0] == "src":
                yield parts[1], name, text


def include_problem(folder, style, header):
    if header.startswith("lastport/"):
        return None if folder in MAY_INCLUDE_PUBLIC else "uses the installed header"
    if style == "<":
        return None
    if "/" not in header:
        return "a path from src/ on is wanted"
    used = header.split("/")[0]
    allowed = {folder, *MAY_INCLUDE[folder]}
    if folder not in BASE_MAY_NOT_BE_INCLUDED_BY:
        allowed.add("base")
    return None if used in allowed else f"{folder} may not use {used}"


def include_directions(tree):
    problems = []
    for folder, name, text in tree.folders():
        if folder not in MAY_INCLUDE:
            problems.append(f"{name}: the folder has no row in the table")
            continue
        for style, header in INCLUDE.findall(text):
            if why := include_problem(folder, style, header):
                problems.append(f"{name}: includes {header}: {why}")
    return problems


def public_header_stands_alone(tree):
    return [f"{name}: includes {header}"
            for name, text in tree.sources(".h") if name.startswith("include/")
            for style, header in INCLUDE.findall(text) if style == '"' or "/" in header]


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def only_kernel_reads_kernel(tree):
    problems = []
    for folder, name, text in tree.folders():
        if folder in KERNEL_READERS or name in KERNEL_READER_FILES:
            continue
        code = without_comments(text)
        for pattern in (KERNEL_HEADER, KERNEL_PATH):
            problems += [f"{name}: {match[0]}" for match in pattern.finditer(code)]
    return problems


def functions(text):
    """(name, lines) of each C function: a brace of its own at the line's start opens the body."""
    lines = text.splitlines()
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
            while start > 0 and re.match(r"\s|\w.*[^;:]$", lines[start - 1]):
                start -= 1
        elif line.startswith("}") and start is not None:
            head = " ".join(lines[start:number])
            yield re.search(r"(\w+)\s*\(", head)[1], number - start + 1
            start = None


def all_functions(tree):
    for name, text in tree.sources(".c", ".h"):
        for function, length in functions(text):
            yield f"{name}: {function}", length


def no_long_function(tree):
    return [f"{name}: {length} lines" for name, length in all_functions(tree)
            if length > LONGEST_FUNCTION]


def functions_are_short(tree):
    lengths = [length for name, length in all_functions(tree) if name.startswith("src/")]
    if not lengths:
        return ["there are no functions in src/"]
    median = statistics.median(lengths)
    print(f"# {len(lengths)} functions in src/, median {median:g} lines, longest {max(lengths)}")
    return [f"the median is {median:g}"] if median > MEDIAN_FUNCTION else []


def no_long_file(tree):
    return [f"{name}: {length} lines" for name, text in tree.sources()
            if (length := text.count("\n")) > LONGEST_FILE]


def licence_is_named(tree):
    return [name for name, text in [*tree.sources(), *tree.scripts()]
            if not re.search(r"SPDX-License-Identifier: \S", "".join(text.splitlines()[:3]))]


def nothing_left_for_later(tree):
    return [f"{name}:{text[:match.start()].count(chr(10)) + 1}: {match[0]}"
            for name, text in tree.texts.items() for match in WORDS.finditer(text)]


CHECKS = [
    ("includes follow the directions between the folders", include_directions),
    ("the installed header needs nothing of ours", public_header_stands_alone),
    ("only src/kernel knows how to read the kernel", only_kernel_reads_kernel),
    (f"no function is longer than {LONGEST_FUNCTION} lines", no_long_function),
    ("the usual function is short", functions_are_short),
    (f"no file is longer than {LONGEST_FILE} lines", no_long_file),
    ("each source names its licence", licence_is_named),
    ("nothing is marked as left for later, no path of a workplace", nothing_left_for_later),
]


def undefined_symbols(library):
    """(object's name, symbol) of what each object of a library takes from others."""
    listing = subprocess.run(["nm", "--undefined-only", "--print-file-name", library],
                             check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        place, symbol = line.rsplit(" U ", 1)
        yield place.rsplit(":", 1)[0].rsplit(":", 1)[-1], symbol.strip().split("@")[0]


def pure_folders_ask_nothing(symbols):
    problems = []
    for member, symbol in symbols:
        folder = re.match(r"(?:src_)?(\w+?)_", member)
        if folder and folder[1] in PURE and ASKS_THE_SYSTEM.fullmatch(symbol):
            problems.append(f"{member} calls {symbol}")
    return problems


def main(root, library=None):
    tap = Tap()
    tree = Tree(Path(root))
    for name, check in CHECKS:
        tap.check(name, check(tree))
    if library:
        symbols = list(undefined_symbols(library))
        tap.check("the library's objects were read", [] if symbols else ["no symbols"])
        tap.check(f"{', '.join(sorted(PURE))}: ask the system for nothing",
                  pure_folders_ask_nothing(symbols))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
