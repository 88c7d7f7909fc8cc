# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever ends a run of prove, nothing of it stays: no process, no namespace."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from command import LASTPORT, Run, main

# Both wait for a minute in namespaces of their own.
CLAIMS = ["time-wait-lasts-four-minutes", "fin-timeout-shortens-time-wait"]
PATIENCE_S = 20


def children(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def descendants(pid):
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def held_by(pids):
    """The network namespaces that these processes hold by a descriptor or are in."""
    held = set()
    for pid in pids:
        for place in [*Path(f"/proc/{pid}/fd").glob("*"), Path(f"/proc/{pid}/ns/net")]:
            try:
                link = os.readlink(place)
            except OSError:
                continue
            if link.startswith("net:["):
                held.add(int(link[5:-1]))
    return held


def seen():
    answer = json.loads(Run("--json", "--kind", "time-wait-buckets").out)
    return {limit["netns"]["inode"] for limit in answer["limits"]}


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)  # /proc tells of no events
    return None


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def end_by(problems, number):
    with subprocess.Popen([LASTPORT, "prove", *CLAIMS], stdout=subprocess.DEVNULL) as run:
        own = held_by([os.getpid()])

        def found():
            held = (held_by(descendants(run.pid)) - own) & seen()
            return held if len(held) >= len(CLAIMS) else None

        made = wait_for(found) or set()
        below = descendants(run.pid)
        run.send_signal(number)
        run.wait(PATIENCE_S)
    if len(made) < len(CLAIMS):
        problems.append(f"only {len(made)} namespaces were seen of {len(below)} processes")
    if not wait_for(lambda: not alive(below)):
        problems.append(f"processes stay: {alive(below)}")
    if not wait_for(lambda: not made & seen()):
        problems.append(f"namespaces stay: {made & seen()}")


def kill_leaves_nothing(problems):
    end_by(problems, signal.SIGKILL)


def an_interrupt_leaves_nothing(problems):
    end_by(problems, signal.SIGINT)


if __name__ == "__main__":
    raise SystemExit(main([kill_leaves_nothing, an_interrupt_leaves_nothing]))
