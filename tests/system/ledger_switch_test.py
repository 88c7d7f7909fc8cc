# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turning the ledger on and off: twice, by two at once, of another version, half done, killed."""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, WORLD, Run, run_inside
from ledger import TABLES, bpf_file_system, bpftool, own_netns, total

NO_PERMISSION, NOT_ALLOWED, OFF = 77, 71, 1
NOBODY = 65534
KILLS = int(os.environ.get("LASTPORT_KILLS", "40"))


class Place:
    """A BPF file system of one's own."""

    def __init__(self, stack, options="mode=700"):
        self.folder = stack.enter_context(bpf_file_system("-o", options))
        self.env = {"LASTPORT_BPFFS": self.folder}
        self.ours = Path(self.folder, "lastport")
        self.pinned = self.ours / "ledger"

    def run(self, *arguments, **more):
        return Run("ledger", *arguments, env=self.env, **more)

    def start(self, *arguments):
        return subprocess.Popen([LASTPORT, "ledger", *arguments], env=WORLD | self.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def shown(self):
        return json.loads(self.run("show", "--json").out)

    def ids(self):
        """Numbers of every program and table that is pinned here, in whatever folder."""
        found = set()
        for path in self.ours.glob("*/*"):
            kind = {"program": "prog", "link": "link"}.get(path.name, "map")
            found.add((kind, bpftool(kind, "show", "pinned", path)["id"]))
        return found


@contextlib.contextmanager
def place(*options):
    with contextlib.ExitStack() as stack:
        yield Place(stack, *options)


def listed(kind):
    """bpftool gives up where another test's goes away meanwhile."""
    for tries_left in reversed(range(20)):
        try:
            return {each["id"] for each in bpftool(kind, "list") or []}
        except subprocess.CalledProcessError:
            if not tries_left:
                raise


def loaded(ids):
    """Those of them that the kernel still has."""
    lists = {kind: listed(kind) for kind in ("prog", "link", "map")}
    return {(kind, number) for kind, number in ids if number in lists[kind]}


def expect_gone(problems, what, ids):
    """The kernel frees what nobody holds a little later."""
    deadline = time.monotonic() + TIMEOUT_S
    while (left := loaded(ids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left or not ids:
        problems.append(f"{what}: of {sorted(ids)} are left: {sorted(left)}")


def expect_no_trace(problems, here, ids, what="off"):
    if here.ours.exists():
        problems.append(f"{what} left {[str(path) for path in here.ours.rglob('*')]}")
    expect_gone(problems, what, ids)


def connect(n):
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=n))
        for _ in range(n):
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            client.close()


def opened(shown):
    return total([each for each in shown["owners"] if each["netns"]["inode"] == own_netns()
                  and each["pid"] == os.getpid()], "opened")


# ---- on, off, show ----------------------------------------------------------------------------

def twice_is_the_same_as_once(problems):
    with place() as here:
        problems.expect(run := here.run("show"), run.status == OFF and "is off" in run.err,
                        "expected to be off")
        problems.expect(run := here.run("on"), run.out == "The ledger is on.\n", "expected on")
        connect(3)
        first, ids = here.shown(), here.ids()
        problems.expect(run := here.run("on"), run.out == "The ledger was on already.\n",
                        "expected no change")
        second = here.shown()
        if opened(first) != 3 or opened(second) != 3 or first["since"] != second["since"]:
            problems.append(f"the second on changed it: {first} became {second}")
        if here.ids() != ids or len(ids) != len(TABLES) + 2:
            problems.append(f"{ids} became {here.ids()}")
        problems.expect(run := here.run("off"), run.out == "The ledger is off.\n", "expected off")
        expect_no_trace(problems, here, ids)
        problems.expect(run := here.run("off"), run.out == "The ledger was off already.\n",
                        "expected no change")


def json_has_what_is_promised(problems):
    with place() as here:
        here.run("on")
        connect(1)
        shown = here.shown()
        here.run("off")
    if shown["schema"] != 1 or not re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", shown["since"]):
        problems.append(f"schema or since: {shown['schema']}, {shown['since']}")
    for table in shown["maps"]:
        if set(table) != {"name", "used", "size", "lost"} or not 0 <= table["used"] < table["size"]:
            problems.append(f"a table: {table}")
    if not {"refused", "search"} <= set(shown) or not shown["search"]:
        problems.append(f"fields: {sorted(shown)}")


def another_size_begins_anew(problems):
    with place() as here:
        here.run("on", "--memory", "2")
        connect(2)
        before = here.ids()
        for options, said in ((("--memory", "2"), "was on already"), ((), "was on already"),
                              (("--memory", "4"), "begins anew")):
            run = here.run("on", *options)
            problems.expect(run, said in run.out, f"expected '{said}'")
        if opened(here.shown()):
            problems.append("what was counted before is still there")
        expect_gone(problems, "on anew", before)
        after = here.ids()
        here.run("off")
        expect_no_trace(problems, here, after)


def tables_fit_into_the_memory(problems):
    with place() as here:
        for mib in (1, 3, 32, 100):
            here.run("on", "--memory", str(mib))
            used = sum(bpftool("map", "show", "pinned", here.pinned / table)["bytes_memlock"]
                       for table in TABLES)
            # each table has a page for its head, and the smallest is a page
            if not mib / 3 <= (used - len(TABLES) * 8192) / 2**20 <= mib:
                problems.append(f"--memory {mib} took {used} bytes")
        here.run("off")


# ---- what stands there already ----------------------------------------------------------------

def write_version(here, version):
    """Makes it look as if another version of lastport had turned it on."""
    control = here.pinned / "control"
    value = bpftool("map", "lookup", "pinned", control, "key", 0, 0, 0, 0)["value"]
    bpftool("map", "update", "pinned", control, "key", 0, 0, 0, 0, "value", version, *value[1:])


def another_version_is_replaced(problems):
    with place() as here:
        here.run("on")
        before = here.ids()
        write_version(here, 99)
        problems.expect(run := here.run("show"), run.status == NOT_ALLOWED and
                        "another version" in run.err, "expected to hear of the version")
        problems.expect(run := here.run("on"), "begins anew" in run.out, "expected a new one")
        problems.expect(run := here.run("show"), run.status == 0, "expected to see it")
        expect_gone(problems, "the other version", before)
        write_version(here, 99)
        before = here.ids()
        problems.expect(run := here.run("off"), run.status == 0, "expected off")
        expect_no_trace(problems, here, before, "off of another version")


def expect_mended(problems, here, mend, what):
    """`mend`, on or off, does what it says."""
    problems.expect(run := here.run(mend), run.status == 0, f"{mend} {what}")
    problems.expect(run := here.run("show"), run.status == (0 if mend == "on" else OFF),
                    f"show {what} and then {mend}")


def damage_is_mended(problems):
    with place() as here:
        for name in (*TABLES, "program", "link"):
            for mend in ("on", "off"):
                here.run("on")
                before = here.ids()
                (here.pinned / name).unlink()
                run = here.run("show")
                problems.expect(run, run.status in (OFF, NOT_ALLOWED) and run.err,
                                f"without {name}: expected a reason")
                expect_mended(problems, here, mend, f"without {name}")
                expect_gone(problems, f"{mend} without {name}", before)
                here.run("off")
        if here.ours.exists():
            problems.append("off left something")


def left_overs_are_cleared_away(problems):
    for mend in ("on", "off"):
        with place() as here:
            here.run("on")
            before = here.ids()
            os.rename(here.pinned, here.ours / "ledger-new")  # killed before the last step
            problems.expect(run := here.run("show"), run.status == OFF, "expected to be off")
            expect_mended(problems, here, mend, "before the last step")
            if (here.ours / "ledger-new").exists():
                problems.append(f"{mend} left what was half done")
            expect_gone(problems, mend, before)
            here.run("off")


def refuse(command):
    """From now on this process's bpf(command) fails: EIO."""
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    word, equal, answer, allow = 0x20, 0x15, 0x06, 0x7fff0000
    error = 0x00050000 | errno.EIO
    steps = [(word, 0, 0, 0), (equal, 0, 3, number), (word, 0, 0, 16), (equal, 0, 1, command),
             (answer, 0, 0, error), (answer, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    filtered = struct.pack("@HP", len(steps), ctypes.addressof(code))
    set_no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    prctl = ctypes.CDLL(None).prctl
    if prctl(set_no_new_privileges, 1, 0, 0, 0) or prctl(set_seccomp, by_filter, filtered):
        raise OSError("no filter")


def expect_kept(problems, here, before, what):
    """The one that was on, and nothing beside it."""
    if here.ids() != before:
        problems.append(f"{what}: {before} became {here.ids()}")
    if (left := {path.name for path in here.ours.iterdir()}) != {"ledger"}:
        problems.append(f"{what}: {left}")


def what_was_on_stays_if_the_new_one_fails(problems):
    """Where a piece is not pinned, or the program not attached."""
    pin, attach = 6, 17
    with place() as here:
        here.run("on", "--memory", "1")
        before = here.ids()
        for step in (pin, attach):
            run = here.run("on", "--memory", "2", preexec_fn=lambda n=step: refuse(n))
            problems.expect(run, run.status == NOT_ALLOWED and "Input/output error" in run.err,
                            f"expected that step {step} fails")
            expect_kept(problems, here, before, f"step {step} failed")
        here.run("off")


def what_was_on_stays_with_too_few_descriptors(problems):
    with place() as here:
        here.run("on", "--memory", "1")
        before, told = here.ids(), set()
        for most in range(4, 64):
            run = here.run("on", "--memory", "2", preexec_fn=lambda n=most: resource.setrlimit(
                resource.RLIMIT_NOFILE, (n, n)))
            if run.status == 0:
                break
            told.add(run.err)
            expect_kept(problems, here, before, f"with {most} descriptors")
        problems.expect(run, "begins anew" in run.out, "expected that some number is enough")
        wanted = "lastport: the ledger needs more descriptors than this process may have\n"
        if wanted not in told or any("Linux" in line for line in told):
            problems.append(f"it said {told}")
        expect_gone(problems, "the new one", before)
        here.run("off")


def what_was_on_before_is_on_again(problems):
    """Killed between the two last steps, the one before is all that is there."""
    for mend in ("on", "off"):
        with place() as here:
            here.run("on")
            before = here.ids()
            os.rename(here.pinned, here.ours / "ledger-old")
            (here.ours / "ledger-new").mkdir()
            expect_mended(problems, here, mend, "between the last steps")
            if mend == "on" and here.ids() != before:
                problems.append(f"{before} became {here.ids()}")
            if [path.name for path in here.ours.glob("*") if path.name != "ledger"]:
                problems.append(f"{mend} left {list(here.ours.glob('*'))}")
            here.run("off")
            expect_no_trace(problems, here, before)


# ---- killed, and two at once ------------------------------------------------------------------

def killed_at_any_point_it_can_be_mended(problems):
    seed = int(os.environ.get("LASTPORT_SEED", time.time_ns() % 10**6))
    print(f"# LASTPORT_SEED={seed}")
    chance = random.Random(seed)
    killed = 0
    with place() as here:
        begin = time.monotonic()
        here.run("on")
        longest = (time.monotonic() - begin) * 1.2
        for _ in range(KILLS):
            verb = chance.choice((("on",), ("off",), ("on", "--memory", chance.choice("148"))))
            seen = here.ids() if here.ours.exists() else set()
            with here.start(*verb) as child:
                time.sleep(chance.random() * longest)
                child.send_signal(signal.SIGKILL)
                child.communicate(timeout=TIMEOUT_S)
                killed += child.returncode == -signal.SIGKILL
            seen |= here.ids() if here.ours.exists() else set()
            run = here.run("show")
            problems.expect(run, run.status in (0, OFF, NOT_ALLOWED), f"after {verb} was killed")
            mend = chance.choice(("on", "off"))
            expect_mended(problems, here, mend, f"after {verb} was killed")
            kept = here.ids() if here.ours.exists() else set()
            if seen - kept:
                expect_gone(problems, f"{verb} killed, {mend}", seen - kept)
            if problems:
                return
        seen = here.ids() if here.ours.exists() else set()
        here.run("off")
        if seen:
            expect_no_trace(problems, here, seen)
    print(f"# {killed} of {KILLS} were killed in time")
    if killed < KILLS / 10:  # a busy machine lets many end before
        problems.append(f"only {killed} of {KILLS} were killed before they ended")


def all_at_once_wait_for_each_other(problems):
    with place() as here:
        children = [here.start("on") for _ in range(8)]
        said = sorted(child.communicate(timeout=TIMEOUT_S)[0] for child in children)
        if said != ["The ledger is on.\n"] + ["The ledger was on already.\n"] * 7:
            problems.append(f"eight at once said {said}")
        ids = here.ids()
        children = [here.start(verb) for verb in ("on", "off") * 6]
        errors = [child.communicate(timeout=TIMEOUT_S)[1] for child in children]
        if any(errors) or any(child.returncode for child in children):
            problems.append(f"on and off at once: {errors}")
        ids |= here.ids() if here.ours.exists() else set()
        here.run("off")
        expect_no_trace(problems, here, ids)


def one_waits_for_the_lock(problems):
    with place() as here:
        here.ours.mkdir()
        folder = os.open(here.ours, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        with here.start("on") as child:
            time.sleep(0.3)
            if child.poll() is not None or here.pinned.exists():
                problems.append("it did not wait")
            os.close(folder)
            out, _ = child.communicate(timeout=TIMEOUT_S)
            if out != "The ledger is on.\n":
                problems.append(f"then it said {out!r}")
        here.run("off")


# ---- what is missing --------------------------------------------------------------------------

def no_bpf_file_system_is_told(problems):
    with tempfile.TemporaryDirectory(prefix="lastport-bpf-") as folder:
        for where in (folder, f"{folder}/none"):
            run = Run("ledger", "on", "--bpffs", where)
            problems.status(run, NOT_ALLOWED)
            problems.expect(run, f"mount -t bpf bpf {where}" in run.err, "expected how to mount it")
            # it may be on elsewhere
            for verb in ("off", "show"):
                run = Run("ledger", verb, "--bpffs", where)
                problems.status(run, NOT_ALLOWED)
                problems.expect(run, f"no BPF file system is mounted on {where}" in run.err,
                                "expected what is missing")


def without_capabilities(*left):
    """As root, with these capabilities alone."""
    kept = ",".join(["-all", *(f"+{name}" for name in left)])
    return ["setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}"]


def missing_capabilities_are_named(problems):
    cases = {("dac_override",): "CAP_BPF and CAP_PERFMON", ("dac_override", "bpf"): "CAP_PERFMON",
             ("dac_override", "perfmon"): "CAP_BPF"}
    with place() as here:
        for left, named in cases.items():
            run = Run(*without_capabilities(*left)[1:], LASTPORT, "ledger", "on",
                      program="setpriv", env=here.env)
            problems.status(run, NO_PERMISSION)
            problems.expect(run, run.err == f"lastport: the ledger needs {named}\n",
                            f"expected {named}")
            if here.ours.exists():
                problems.append(f"with {left}, something was left")
        for left in (("bpf", "perfmon", "dac_override"), ("sys_admin", "dac_override")):
            run = Run(*without_capabilities(*left)[1:], LASTPORT, "ledger", "on",
                      program="setpriv", env=here.env)
            problems.expect(run, run.status == 0, f"with {left}")
            here.run("off")


def the_capabilities_that_reading_needs_are_named(problems):
    with place("mode=755") as here:
        here.run("on")
        names = []
        for _ in range(2):  # with none, then with those that it names
            kept = ",".join(f"+{name}" for name in names) or "-all"
            run = Run("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                      f"--inh-caps={kept}", f"--ambient-caps={kept}", LASTPORT, "ledger", "show",
                      program="setpriv", env=here.env)
            if not names:
                problems.expect(run, run.status == NO_PERMISSION, "expected no permission")
                names = [name.lower() for name in re.findall(r"CAP_(\w+)", run.err)]
        problems.expect(run, names and run.status == 0, f"with {names}")
        here.run("off")


def an_ordinary_user_is_told(problems):
    with place("mode=755") as here, tempfile.TemporaryDirectory(prefix="lastport-") as tools:
        os.chmod(tools, 0o755)
        os.chmod(here.folder, 0o755)
        program = shutil.copy(LASTPORT, tools)  # the checkout may be out of their reach
        user = {"program": program, "env": here.env, "user": NOBODY, "group": NOBODY,
                "extra_groups": []}
        problems.expect(run := Run("ledger", "on", **user), run.status == NO_PERMISSION and
                        "needs root" in run.err, "expected that it needs root")
        problems.expect(run := Run("ledger", "show", **user), run.status == OFF,
                        "expected that it is off")
        here.run("on")
        for verb in ("show", "off"):
            problems.expect(run := Run("ledger", verb, **user), run.status == NO_PERMISSION and
                            run.err.count("\n") == 1, "expected no permission")
        problems.expect(run := Run("explain", "EADDRNOTAVAIL", **user),
                        "The ledger can't be read" in run.out, "expected that it can't be read")
        here.run("off")


TESTS = [
    twice_is_the_same_as_once,
    json_has_what_is_promised,
    another_size_begins_anew,
    tables_fit_into_the_memory,
    another_version_is_replaced,
    damage_is_mended,
    left_overs_are_cleared_away,
    what_was_on_stays_if_the_new_one_fails,
    what_was_on_stays_with_too_few_descriptors,
    what_was_on_before_is_on_again,
    killed_at_any_point_it_can_be_mended,
    all_at_once_wait_for_each_other,
    one_waits_for_the_lock,
    no_bpf_file_system_is_told,
    missing_capabilities_are_named,
    the_capabilities_that_reading_needs_are_named,
    an_ordinary_user_is_told,
]

if __name__ == "__main__":
    raise SystemExit(run_inside(TESTS))
