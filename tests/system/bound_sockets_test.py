# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets that are bound and not connected are seen, whatever comes and goes in other namespaces.

Runs itself again in a network namespace of its own.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from command import SOURCE, Run, run_inside
from peers import PYTHON

LOOKS = 60
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

# One socket in two namespaces by turns, so that there is always one, or for a moment two.
WANDERER = f"""
import os, socket, sys
sys.path.insert(0, {str(SOURCE / "tests/system")!r})
from ledger import enter_netns, new_netns
places = []
for _ in range(2):
    new_netns(up=False)
    places.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
before = None
print("there", flush=True)
while True:
    for place in places:
        enter_netns(place)
        now = socket.socket()
        now.bind(("", 0))
        now.listen()
        if before:
            before.close()
        before = now
"""


@contextlib.contextmanager
def wanderer():
    with subprocess.Popen([PYTHON, "-c", WANDERER], stdout=subprocess.PIPE, text=True) as child:
        try:
            if not child.stdout.readline():
                raise OSError("the wanderer ended")
            yield
        finally:
            child.kill()


def bound_sockets_are_seen_while_others_come_and_go(problems):
    with socket.socket() as bound, wanderer():
        bound.bind(("127.0.0.9", 0))
        inode = os.stat("/proc/self/ns/net").st_ino
        low, high = map(int, RANGE.read_text(encoding="ascii").split())
        missed = 0
        for _ in range(LOOKS):
            run = Run("status", "--json", "--all", "--reader=diag")
            problems.status(run, 0)
            limits = json.loads(run.out)["limits"]
            free = [limit["headroom"] for limit in limits if limit["kind"] == "bind-ports"
                    and limit["netns"]["inode"] == inode
                    and limit["scope"]["local"] == "127.0.0.9"]
            missed += free != [high - low]
    if missed:
        problems.append(f"missed in {missed} of {LOOKS} looks")


if __name__ == "__main__":
    sys.exit(run_inside([bound_sockets_are_seen_while_others_come_and_go]))
