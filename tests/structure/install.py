#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs a build into an empty folder and uses it as somebody else's program would.

usage: install.py BUILD VERSION
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tap import Tap

CONSUMER = Path(__file__).with_name("consumer.c")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LANGUAGES = [
    ["gcc", "-std=c99"],
    ["clang", "-std=c99"],
    ["clang++", "-std=c++20", "-x", "c++"],
]


def run(command, **options):
    """(output, problems) of a command."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, timeout=120, check=False, **options)
    problems = [] if done.returncode == 0 else [f"{' '.join(command)}: exit {done.returncode}",
                                                *done.stdout.splitlines()]
    return done.stdout, problems


class Installed:
    """What an installation below `root` holds."""

    def __init__(self, root):
        self.root = root
        self.files = {path.name: path for path in root.rglob("*") if path.is_file()}
        self.pkgconfig = self.files.get("liblastport.pc")
        self.library = next(iter(root.rglob("liblastport.so")), None)

    def environment(self):
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C",
                "PKG_CONFIG_LIBDIR": str(self.pkgconfig.parent),
                "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                "LD_LIBRARY_PATH": str(self.library.parent)}

    def flags(self, *wanted):
        output, problems = run(["pkg-config", *wanted, "liblastport"], env=self.environment())
        return output.split(), problems


def missing_files(installed):
    wanted = ["lastport", "lastport.h", "liblastport.pc"]
    missing = [f"no {name}" for name in wanted if name not in installed.files]
    return missing + ([] if installed.library else ["no liblastport.so"])


def consumer_problems(installed, version, folder):
    flags, problems = installed.flags("--cflags", "--libs")
    program = str(Path(folder, "consumer"))
    if problems:
        return problems
    _, problems = run(["gcc", *STRICT, str(CONSUMER), "-o", program, *flags])
    if problems:
        return problems
    output, problems = run([program], env=installed.environment())
    if not problems and not re.fullmatch(rf"{re.escape(version)} [a-z-]+\n", output):
        problems = [f"printed {output!r}"]
    return problems


def exported(library):
    output, _ = run(["nm", "--dynamic", "--defined-only", str(library)])
    symbols = {line.split()[-1].split("@")[0] for line in output.splitlines()
               if line.split()[-2] != "A"}
    return symbols


def declared(header):
    return set(re.findall(r"^LASTPORT_API [^;]*?\b(lastport_\w+)\(", header.read_text(), re.M))


def check_installed(tap, installed, version, folder):
    flags, problems = installed.flags("--cflags")
    tap.check("pkg-config knows the library", problems)
    shown, problems = installed.flags("--modversion")
    tap.check("pkg-config says the version", problems or ([] if shown == [version] else shown))
    for language in LANGUAGES:
        _, problems = run([*language, *STRICT, "-fsyntax-only", *flags, str(CONSUMER)])
        tap.check(f"the header is good for {' '.join(language)}", problems)
    tap.check("a program compiles, links and runs",
              consumer_problems(installed, version, folder))
    symbols, names = exported(installed.library), declared(installed.files["lastport.h"])
    tap.check("the header declares functions", [] if names else ["none"])
    tap.check("the library exports what the header declares, nothing else",
              [f"not exported: {name}" for name in sorted(names - symbols)] +
              [f"not declared: {name}" for name in sorted(symbols - names)])
    shown, problems = run([str(installed.files["lastport"]), "--version"])
    tap.check("the installed command runs",
              problems or ([] if version in shown else [f"printed {shown!r}"]))


def main(build, version):
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        _, problems = run(["meson", "install", "-C", build, "--no-rebuild",
                           "--destdir", str(root)])
        tap.check("meson installs", problems)
        installed = Installed(root)
        missing = missing_files(installed)
        tap.check("command, library, header and pkg-config file are there", missing)
        if not missing:
            check_installed(tap, installed, version, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
