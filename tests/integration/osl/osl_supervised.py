"""A program whose disk is as slow, and whose clock as wrong, as a test says.

The kernel stops the program in the system call and asks; nothing of the program is replaced.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

LAUNCH = Path(__file__).with_name("osl_supervised_launch.py")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON = 1


@dataclass
class Asked:
    """A system call that waits for an answer."""

    listener: int
    id: int
    pid: int
    arguments: tuple[int, ...]

    def go_on(self) -> None:
        """Let the kernel do it."""
        self._answer(0, 0, _GO_ON)

    def fail(self, error: int) -> None:
        """Have it fail."""
        self._answer(0, -error, 0)

    def tell_time(self, nanoseconds: int) -> None:
        """Answer `clock_gettime`."""
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(self.arguments[1])
            memory.write(struct.pack("qq", *divmod(nanoseconds, 10**9)))
        self._answer(0, 0, 0)

    def _answer(self, value: int, error: int, flags: int) -> None:
        fcntl.ioctl(self.listener, _SEND, struct.pack("QqiI", self.id, value, error, flags))


def _readable(descriptors: list[int], timeout: float | None = None) -> list[int]:
    """Return which can be read, or have ended; also of those above 1,024."""
    waiting = select.poll()
    for each in descriptors:
        waiting.register(each, select.POLLIN)
    return [each for each, _ in waiting.poll(None if timeout is None else timeout * 1000)]


class Supervised:
    """A running Python program; lines go in and come out.

    Args:
        calls: Names of the system calls to be asked about.
        script: The program.
        arguments: What it gets.
    """

    def __init__(self, calls: str, script: Path, *arguments: object) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, str(LAUNCH), str(theirs.fileno()), calls]
        self.process = subprocess.Popen(
            [*command, sys.executable, str(script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        theirs.close()
        ours.settimeout(20)
        try:
            _, rights, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
        finally:
            ours.close()
        if not rights:
            said = self.process.communicate()[1].decode()
            pytest.skip(f"the kernel lends no system calls here: {said.strip()[-200:]}")
        self.listener = array.array("i", rights[0][2])[0]
        self._read = b""

    def asked(self, timeout: float = 20) -> Asked:
        """Wait until the program makes one of the calls."""
        readable = _readable([self.listener], timeout)
        assert readable, "the program never asked"
        notice = bytearray(80)
        fcntl.ioctl(self.listener, _RECEIVE, notice)
        number, pid = struct.unpack_from("QI", notice)
        return Asked(self.listener, number, pid, struct.unpack_from("6Q", notice, 32))

    def asks_or_speaks(self) -> bool:
        """Wait for one of the calls, or a line; say whether it is a call."""
        output = self.process.stdout.fileno()
        readable = _readable([self.listener, output], 20)
        assert readable, "the program is stuck"
        return self.listener in readable

    def say(self, line: str) -> None:
        """Give it a line."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, timeout: float = 20) -> str | None:
        """Wait for a line of it; `None` when none came in time."""
        output = self.process.stdout.fileno()
        while b"\n" not in self._read:
            readable = _readable([output], timeout)
            if not readable:
                return None
            part = os.read(output, 65536)
            assert part, self.process.stderr.read().decode()
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    @contextlib.contextmanager
    def answering(self, answer):
        """Have `answer(asked)` called for each call, in a thread, while the block runs."""
        stop, wake = os.pipe()

        def serve() -> None:
            while True:
                ready = _readable([self.listener, stop])
                if stop in ready:
                    return
                # The program may have been killed in between.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    answer(self.asked())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            os.write(wake, b"!")
            thread.join()
            os.close(stop)
            os.close(wake)

    def close(self) -> None:
        """End it, whatever it waits for."""
        with self.process:
            self.process.terminate()
        os.close(self.listener)


class Clock:
    """The wall clock as the test sets it."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self, asked: Asked) -> None:
        asked.tell_time(time.time_ns() + int(self.offset * 1e9))
