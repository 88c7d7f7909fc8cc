# SPDX-License-Identifier: LGPL-2.1-or-later
"""A trace that runs while a test makes something happen, and what makes it happen."""

import contextlib
import json
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from command import LASTPORT, TIMEOUT_S, WORLD
from peers import PORTS, PYTHON


def counter(name):
    """A figure of TcpExt."""
    lines = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines()]
    names, figures = [line for line in lines if line[0] == "TcpExt:"]
    return int(figures[names.index(name)])


def sysctl(name, value):
    Path(f"/proc/sys/net/ipv4/{name}").write_text(str(value))


class Trace:
    """A trace in JSON that runs while something happens: of this namespace, unless told."""

    def __init__(self, *arguments, netns="self", command=(LASTPORT,), env=None, **more):
        self.child = subprocess.Popen(
            [*command, "trace", "--json", "--netns", netns, "--interval", "0.2", *arguments],
            env=WORLD | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.lines, self.errors, self.status = [], "", None
        self.late = threading.Timer(3 * TIMEOUT_S, self.child.kill)  # what is awaited never comes
        self.late.start()

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            raise OSError("the trace ended")
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def reads_ledger(self):
        """Waits for the beginning. Whether it can tell what a ledger counts."""
        wait_for_begin(self)
        return not select.select([self.child.stdout], [], [], 0)[0]

    def programs(self):
        """The numbers of the programs it keeps in the kernel."""
        found = set()
        for entry in Path(f"/proc/{self.child.pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it looks into files, and closes them
                found |= {line.split()[1] for line in entry.read_text().splitlines()
                          if line.startswith("prog_id:")}
        return found

    def read_until(self, event, count):
        """Reads lines until so many of the event were told."""
        while self.count(event) < count:
            self.read()

    def count(self, event):
        return sum(line["count"] for line in self.lines if line["event"] == event)

    def end(self, number=signal.SIGINT):
        self.child.send_signal(number)
        late = threading.Timer(TIMEOUT_S, self.child.kill)
        late.start()
        # not communicate(), which knows nothing of what readline() has read ahead
        self.lines += [json.loads(line) for line in self.child.stdout]
        self.errors = self.child.stderr.read()
        self.status = self.child.wait()
        late.cancel()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.late.cancel()
        if self.child.poll() is None:
            self.child.kill()
            self.child.communicate()


def wait_for_begin(trace):
    """Until it waits for the end of an interval."""
    sleeps_in = Path(f"/proc/{trace.child.pid}/wchan")
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if trace.child.poll() is not None:
            raise OSError("the trace ended")
        if "poll" in sleeps_in.read_text():
            return
        time.sleep(0.001)
    raise OSError("the trace does not begin")


# Connects to a server that accepts nothing more than its queue holds; prints what came of each.
CONNECTS = """
import collections, errno, socket, sys
address, port, n, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
came, held = collections.Counter(), []
for i in range(n):
    s = socket.socket(family)
    s.setblocking(how != "nonblocking")
    if how == "bound":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 30000))
    try:
        s.connect((address, port))
        came["made"] += 1
    except BlockingIOError:
        came["made"] += 1
    except OSError as error:
        came[errno.errorcode[error.errno]] += 1
    if how == "closing" and i >= 2:
        s.close()
    else:
        held.append(s)
print(came["made"], came["EADDRNOTAVAIL"], came["ECONNREFUSED"], len(came))
"""


def connects(address, port, n, how="blocking", inside=()):
    """How many were made, had no port, and were refused by the other side; the pid of who tried.

    inside: the beginning of a command that runs another one elsewhere.
    """
    with subprocess.Popen([*inside, PYTHON, "-c", CONNECTS, address, str(port), str(n), how],
                          stdout=subprocess.PIPE, text=True) as child:
        out, _ = child.communicate(timeout=TIMEOUT_S)
        return [int(figure) for figure in out.split()[:3]] + [child.pid]


@contextlib.contextmanager
def few_ports(n):
    sysctl("ip_local_port_range", f"40000 {40000 + n - 1}")
    sysctl("tcp_tw_reuse", 0)
    try:
        yield
    finally:
        sysctl("ip_local_port_range", "32768 60999")


@contextlib.contextmanager
def listener(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((address, next(PORTS)))
        sock.listen(1000)
        yield sock.getsockname()[1]
