"""Start a program some of whose system calls are answered by another process.

Used as `python osl_supervised_launch.py SOCKET CALL[,CALL] PROGRAM ...`: the descriptor on which
the kernel asks (seccomp user notification) goes over the inherited socket SOCKET. The program gets
no vDSO, so that reading the wall clock is a system call like any other.
"""

from __future__ import annotations

import array
import ctypes
import os
import platform
import signal
import socket
import struct
import sys

NUMBERS = {
    "x86_64": {"fdatasync": 75, "clock_gettime": 228, "seccomp": 317},
    "aarch64": {"fdatasync": 83, "clock_gettime": 113, "seccomp": 277},
}
_libc = ctypes.CDLL(None, use_errno=True)


def numbers() -> dict[str, int]:
    """System call numbers of this machine."""
    return NUMBERS[platform.machine()]


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _filter(calls: list[str]) -> bytes:
    """Ask about `calls` (of the clock, about the wall clock only), allow the rest."""
    load, equal, give = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0)]
    for call in calls:
        if call == "clock_gettime":
            # Its first argument, when the number is right: CLOCK_REALTIME is 0.
            program += [
                (equal, 0, 3, numbers()[call]),
                (load, 0, 0, 16),
                (equal, 0, 1, 0),
                (give, 0, 0, 0x7FC00000),
                (load, 0, 0, 0),
            ]
        else:
            program += [(equal, 0, 1, numbers()[call]), (give, 0, 0, 0x7FC00000)]
    program.append((give, 0, 0, 0x7FFF0000))
    return b"".join(struct.pack("HBBI", *each) for each in program)


def _supervise(sock: socket.socket, calls: list[str]) -> None:
    text = _filter(calls)
    buffer = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxP", len(text) // 8, ctypes.addressof(buffer))
    _checked(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    listener = _checked(
        _libc.syscall(numbers()["seccomp"], 1, 8, ctypes.c_char_p(program)), "seccomp"
    )
    rights = array.array("i", [listener])
    sock.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(listener)


def _hide_vdso(pid: int) -> None:
    """Turn the entry of the auxiliary vector that names the vDSO into one that is ignored."""
    with open(f"/proc/{pid}/auxv", "rb") as file:
        vector = file.read()
    with open(f"/proc/{pid}/maps") as file:
        (line,) = [line for line in file if line.endswith("[stack]\n")]
    first, last = (int(each, 16) for each in line.split()[0].split("-"))
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(first)
        stack = memory.read(last - first)
        start = stack.index(vector.rstrip(b"\0"))
        for entry in range(0, len(vector), 16):
            if struct.unpack_from("Q", vector, entry)[0] == 33:
                memory.seek(first + start + entry)
                memory.write(struct.pack("Q", 1))


def main() -> int:
    sock = socket.socket(fileno=int(sys.argv[1]))
    calls = sys.argv[2].split(",")
    child = os.fork()
    if child == 0:
        _checked(_libc.ptrace(0, 0, 0, 0), "ptrace")
        _supervise(sock, calls)
        sock.close()
        os.execv(sys.argv[3], sys.argv[3:])
    sock.close()
    os.waitpid(child, 0)  # it stops where the program begins
    _hide_vdso(child)
    _checked(_libc.ptrace(17, child, 0, 0), "detach")
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
