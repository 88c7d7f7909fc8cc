# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that open and close connections as they are told, and cgroups to put them in."""

import contextlib
import itertools
import os
import subprocess
import tempfile
from pathlib import Path

from command import TIMEOUT_S

SERVER = "127.0.0.2"
PYTHON = "/usr/bin/python3"  # one that an ordinary user can run
# TIME_WAITs stay for a minute: each pair has a port of its own
PORTS = itertools.count(1001)

# A peer does what its standard input says, and answers each line when it is done.
PEER = """
import ctypes, os, socket, sys, threading
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener, open_, children = None, [], []

def follow(word, n):
    global listener
    if word == "listen":
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((sys.argv[1], int(sys.argv[2])))
        listener.listen(n)
    elif word == "accept":
        open_.extend(listener.accept()[0] for i in range(n))
    elif word == "connect":
        where = (sys.argv[1], int(sys.argv[2]))
        open_.extend(socket.create_connection(where) for i in range(n))
    elif word == "close":
        for i in range(n):
            open_.pop().close()
    elif word == "fork":
        for i in range(n):
            pipe = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(pipe[1])
                os.read(pipe[0], 1)
                os._exit(0)
            os.close(pipe[0])
            children.append(pipe[1])
    elif word == "leave":  # all to a child, and end
        if os.fork():
            os._exit(0)
    elif word == "outlive":  # its first thread, which ends here
        threading.Thread(target=go_on).start()
        ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)

def go_on():
    while ") Z " not in open("/proc/self/stat").read():
        pass
    print("outlive", flush=True)
    serve()
    os._exit(0)

def serve():
    for line in sys.stdin:
        word, n = line.split()
        follow(word, int(n))
        print(word, flush=True)

serve()
"""


class Peer:
    """A process that opens and closes connections as it is told."""

    def __init__(self, address, port, cgroup=None, user=None):
        def enter():
            if cgroup:
                (cgroup / "cgroup.procs").write_text("0")
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
        self.child = subprocess.Popen(
            [PYTHON, "-c", PEER, address, str(port)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=enter)
        self.pid = self.child.pid

    def begin(self, word, n):
        self.child.stdin.write(f"{word} {n}\n")
        self.child.stdin.flush()

    def end(self, word):
        answer = self.child.stdout.readline().strip()
        if answer != word:
            raise OSError(f"the peer ended instead of {word}")

    def do(self, word, n):
        self.begin(word, n)
        self.end(word)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.child.stdin.close()
        self.child.stdout.close()
        try:
            self.child.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@contextlib.contextmanager
def pair(clients, server_address=SERVER):
    """The port of a server that accepted so many connections of each client; it, and they."""
    port = next(PORTS)
    with Peer(server_address, port) as server, contextlib.ExitStack() as stack:
        server.do("listen", 200)
        made = []
        for n, kwargs in clients:
            client = stack.enter_context(Peer(server_address, port, **kwargs))
            client.begin("connect", n)
            server.do("accept", n)
            client.end("connect")
            made.append(client)
        yield port, server, *made


@contextlib.contextmanager
def cgroup(*path):
    """A cgroup below one of this test's own, gone afterwards. Its path as seen from the root."""
    with tempfile.TemporaryDirectory(prefix="lastport-cgroup-") as mount:
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", mount], check=True)
        made = []
        try:
            here = Path(mount)
            for name in (f"lastport-test-{os.getpid()}", *path):
                here = here / name
                if not here.exists():
                    here.mkdir()
                    made.append(here)
            yield here, str(here)[len(mount):]
        finally:
            for folder in reversed(made):
                folder.rmdir()
            subprocess.run(["umount", mount], check=True)
