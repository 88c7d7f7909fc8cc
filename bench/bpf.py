# SPDX-License-Identifier: LGPL-2.1-or-later
"""bpf(2), as far as the benches need it."""

import contextlib
import ctypes
import os
import struct
import subprocess
from pathlib import Path

from tools import Failed

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
PROG_LOAD, OBJ_GET, RAW_TRACEPOINT_OPEN, ENABLE_STATS = 5, 7, 17, 32
RAW_TRACEPOINT = 17  # a type of program
RETURN_0 = struct.pack("=QQ", 0xb7, 0x95)  # r0 = 0; exit
NEW_MOUNTS = 0x20000  # CLONE_NEWNS
TRACING = Path("/sys/kernel/tracing")

libc = ctypes.CDLL(None, use_errno=True)


def call(command, attributes):
    """A descriptor."""
    number = NUMBERS.get(os.uname().machine)
    if not number:
        raise Failed(f"the number of bpf(2) is not known on {os.uname().machine}")
    attributes = ctypes.create_string_buffer(attributes, 128)
    fd = libc.syscall(number, command, attributes, len(attributes))
    if fd < 0:
        raise Failed(f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return fd


@contextlib.contextmanager
def descriptor(command, attributes):
    fd = call(command, attributes)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def mounted(folder):
    """A BPF file system that only this process and its children see."""
    if libc.unshare(NEW_MOUNTS):
        raise Failed(f"unshare: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    if not any(TRACING.iterdir()):  # where libbpf's tools look for tracepoints
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def empty_program():
    """A program that does nothing, where the ledger's is."""
    instructions = ctypes.create_string_buffer(RETURN_0, len(RETURN_0))
    licence, name = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(
        b"inet_sock_set_state")
    load = struct.pack("=IIQQ", RAW_TRACEPOINT, 2, ctypes.addressof(instructions),
                       ctypes.addressof(licence))
    with descriptor(PROG_LOAD, load) as program:
        with descriptor(RAW_TRACEPOINT_OPEN, struct.pack("=QI", ctypes.addressof(name), program)):
            yield


def statistics():
    """While it is held, the kernel counts how often programs run and how long."""
    return descriptor(ENABLE_STATS, struct.pack("=I", 0))


def counted(program):
    """(runs, ns) of a pinned program."""
    path = ctypes.create_string_buffer(os.fsencode(program))
    with descriptor(OBJ_GET, struct.pack("=Q", ctypes.addressof(path))) as fd:
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="utf-8").splitlines()
    told = dict(line.split(":", 1) for line in lines)
    return int(told["run_cnt"]), int(told["run_time_ns"])
