# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the ledger costs a connection: a loop that does nothing but connect, accept and close."""

import contextlib
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import bpf
from tools import BUILD, LASTPORT, Failed, Namespace, target, target_lines

# Each window of a command stands between two without any. A namespace is new in each round, so
# that its TIME_WAITs are made anew; their number rises, which the two neighbours take out.
ROUNDS = int(os.environ.get("LASTPORT_BENCH_ROUNDS", "21"))
WINDOW_MS = 400
WARM_MS = 300
READY_S = 20
HOOK = "an empty program at the hook"
OURS = "lastport ledger on"
TOOLS = ["tcplife", "tcpstates"]


class Loop(Namespace):
    """The loop in a namespace of its own; run() gives what it did since the last one."""

    def __init__(self):
        super().__init__(str(BUILD / "bench" / "connections"), "--buckets", "4000000")
        self.before = [0] * 4

    def run(self, ms):
        self.provoker.stdin.write(f"{ms}\n")
        answer = self.provoker.stdout.readline()
        if not answer:
            raise Failed(f"the loop ended with status {self.provoker.wait()}")
        *now, wall_us = map(int, answer.split())
        opened, _, _, cpu_us = (a - b for a, b in zip(now, self.before))
        self.before = now
        return {"connections": opened, "per_s": opened / wall_us * 1e6,
                "cpu_ns": cpu_us * 1000 / opened}


def lastport(folder, *arguments):
    done = subprocess.run([LASTPORT, "ledger", *arguments], check=False, text=True,
                          capture_output=True, env=os.environ | {"LASTPORT_BPFFS": folder})
    if done.returncode:
        raise Failed(f"lastport ledger {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def the_ledger(folder):
    lastport(folder, "on")
    try:
        yield
    finally:
        lastport(folder, "off")


def is_attached(pid):
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "link_type" in file.read_text(encoding="utf-8"):
                return True
    return False


@contextlib.contextmanager
def a_tool(name):
    with subprocess.Popen([name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as tool:
        try:
            deadline = time.monotonic() + READY_S
            while not is_attached(tool.pid):
                if tool.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{name} does not run: {tool.stderr.read1().decode().strip()}")
                time.sleep(0.05)
            time.sleep(0.2)
            yield
        finally:
            tool.send_signal(signal.SIGINT)
            tool.wait()


def measure_rounds(commands):
    """Each command's windows: {ratio of connections a second, more CPU a connection}."""
    runs = {name: [] for name in commands}
    off = []
    for number in range(ROUNDS):
        names = list(commands) if number % 2 == 0 else list(reversed(commands))
        with Loop() as loop:
            loop.run(WARM_MS)
            before = loop.run(WINDOW_MS)
            for name in names:
                with commands[name]():
                    during = loop.run(WINDOW_MS)
                after = loop.run(WINDOW_MS)
                runs[name].append({
                    "ratio": 2 * during["per_s"] / (before["per_s"] + after["per_s"]),
                    "more_ns": during["cpu_ns"] - (before["cpu_ns"] + after["cpu_ns"]) / 2})
                off.append(after)
                before = after
        time.sleep(0.5)  # the kernel clears the namespace away
    return runs, off


def measure_hook(folder):
    """How often the program runs a connection and how long, as the kernel itself counts."""
    with the_ledger(folder), Loop() as loop, bpf.statistics():
        loop.run(WARM_MS)
        program = Path(folder) / "lastport" / "ledger" / "program"
        runs, ns = bpf.counted(program)
        connections = loop.run(WINDOW_MS)["connections"]
        more_runs, more_ns = bpf.counted(program)
    runs, ns = more_runs - runs, more_ns - ns
    return {"runs": runs / connections, "ns_a_run": ns / runs, "ns": ns / connections}


def run():
    with tempfile.TemporaryDirectory(prefix="lastport-bench-") as folder, bpf.mounted(folder):
        commands = {HOOK: bpf.empty_program, OURS: lambda: the_ledger(folder)}
        commands |= {name: lambda name=name: a_tool(name) for name in TOOLS}
        runs, off = measure_rounds(commands)
        hook = measure_hook(folder)
    commands = [{"command": name, "ratio": statistics.median(run["ratio"] for run in each),
                 "more_ns": statistics.median(run["more_ns"] for run in each), "runs": each}
                for name, each in runs.items()]
    ours = next(each for each in commands if each["command"] == OURS)
    return {"rounds": ROUNDS, "window_ms": WINDOW_MS,
            "per_s": statistics.median(each["per_s"] for each in off),
            "cpu_ns": statistics.median(each["cpu_ns"] for each in off),
            "commands": commands, "hook": hook,
            "targets": [target("connections a second with the ledger ÷ without", ours["ratio"],
                               0.97, at_least=True)]}


def table(measured):
    yield (f"{measured['per_s']:,.0f} connections a second without anything, "
           f"{measured['cpu_ns'] / 1000:.1f} us of CPU each; medians of {measured['rounds']} pairs")
    yield f"{'COMMAND':34}{'÷ OFF':>8}{'QUARTILES':>18}{'MORE NS':>9}"
    for each in measured["commands"]:
        low, _, high = statistics.quantiles((run["ratio"] for run in each["runs"]), n=4)
        yield (f"{each['command']:34}{each['ratio']:>8.3f}{low:>10.3f} to{high:>5.3f}"
               f"{each['more_ns']:>9.0f}")
    hook = measured["hook"]
    yield (f"the ledger's program runs {hook['runs']:.1f} times a connection, "
           f"{hook['ns_a_run']:.0f} ns each, its clock included")
    yield from target_lines(measured["targets"])
