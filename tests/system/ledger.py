# SPDX-License-Identifier: LGPL-2.1-or-later
"""A ledger of a test's own: in a network namespace of its own, pinned in a BPF file system that
nobody else sees. The hook sees the whole machine, so that everything is told apart by namespace.
"""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from command import SOURCE, TIMEOUT_S, Run

BPFTOOL = shutil.which("bpftool", path=f"{os.environ['PATH']}:/usr/sbin")
TABLES = ["control", "sockets", "owners", "searches", "refusals"]
NEW_NETNS = 0x40000000  # CLONE_NEWNET
TELL = os.environ.get("LEDGER_TELL", str(SOURCE / "build/tests/system/ledger_tell"))


def enter_netns(descriptor):
    if ctypes.CDLL(None).setns(descriptor, NEW_NETNS):
        raise OSError("setns() failed")


def new_netns(up=True):
    """Leaves this namespace, with the TIME_WAITs in it, for another one."""
    if ctypes.CDLL(None).unshare(NEW_NETNS):
        raise OSError("unshare() failed")
    if up:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def own_netns():
    return os.stat("/proc/self/ns/net").st_ino


def is_whole(lines):
    """Whether a dump has the TIME_WAITs that sockstat counts: with those kept as FIN_WAIT2."""
    words = Path("/proc/self/net/sockstat").read_text(encoding="ascii").split("TCP:")[1].split()
    states = [line["state"] for line in lines]
    least = states.count("time-wait")
    return least <= int(words[words.index("tw") + 1]) <= least + states.count("fin-wait-2")


def bpftool(*arguments, **more):
    """What it answers, as JSON; None where it says nothing."""
    done = subprocess.run([BPFTOOL, "--json", *map(str, arguments)], text=True, check=True,
                          capture_output=True, timeout=TIMEOUT_S, **more)
    return json.loads(done.stdout) if done.stdout.strip() else None


@contextlib.contextmanager
def bpf_file_system(*options):
    with tempfile.TemporaryDirectory(prefix="lastport-bpf-") as folder:
        subprocess.run(["mount", "-t", "bpf", *options, "bpf", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


class Ledger:
    """It is on for as long as the context lasts."""

    def __init__(self, *options):
        self.options = options
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = self.stack.enter_context(bpf_file_system())
        self.env = {"LASTPORT_BPFFS": self.folder}
        self.command("on", *self.options)
        return self

    def __exit__(self, *error):
        with self.stack:
            self.command("off")
            if "lastport" in os.listdir(self.folder):
                raise OSError("ledger off left its folder")

    def command(self, *arguments):
        run = Run("ledger", *arguments, env=self.env)
        if run.status:
            raise OSError(run.problem("failed"))
        return run.out

    def show(self, netns=None):
        """What it says, its lists cut down to one namespace: ours, unless told."""
        netns = netns or own_netns()
        shown = json.loads(self.command("show", "--json"))
        for name in ("refused", "search", "owners"):
            shown[name] = [each for each in shown[name] if each["netns"]["inode"] == netns]
        return shown

    def memory(self):
        """Bytes of its tables, as the kernel counts them."""
        return sum(bpftool("map", "show", "pinned", self.pinned(table))["bytes_memlock"]
                   for table in TABLES)

    def pinned(self, piece):
        return Path(self.folder, "lastport", "ledger", piece)

    def tell(self, *prefix):
        """(connections, what was lost): the join of each socket of our namespace.

        A dump may miss some where others' sockets come and go: it is asked again until it has as
        many TIME_WAITs as the namespace counts.
        """
        for _ in range(20):
            done = subprocess.run([*prefix, TELL], env=os.environ | self.env, check=True,
                                  text=True, capture_output=True, timeout=TIMEOUT_S)
            *lines, last = map(json.loads, done.stdout.splitlines())
            if not last["interrupted"] and is_whole(lines):
                break
        return lines, last["lost"]


def total(items, field):
    return sum(item[field] for item in items)
