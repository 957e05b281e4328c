"""Run one case of the WASI test suite by its JSON operations, in a process of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEGACY = {"args", "root", "env", "exit_code", "stderr", "stdout"}
TIMEOUT = 20.0  # seconds; loading and the interpreter's start included
NETWORK = ["127.0.0.0/8:*", "[::1]:*", "0.0.0.0:*", "[::]:*"]  # this machine only
RUNNER = Path(__file__).with_name("run_guest.py")


class CaseFailedError(Exception):
    """Say which operation went otherwise than the case says."""


@dataclass(frozen=True, slots=True)
class Case:
    """A component with what is to be done with it.

    Attributes:
        name: Its language and file, `rust/fd_readdir`.
        component: The component to run.
        folder: Where the case's JSON is; the directories that it names stand beside it.
        operations: What to do, in order.
        proposals: What the case needs beyond files and standard streams.
    """

    name: str
    component: Path
    folder: Path
    operations: list[dict[str, Any]]
    proposals: list[str]


def read(component: Path, file: Path, name: str) -> Case:
    """Read the case of a component; without its JSON file it has to exit with 0."""
    content = json.loads(file.read_text("utf-8")) if file.exists() else {}
    operations = content.get("operations")
    if operations is None:
        run = {"type": "run"} | {k: content[k] for k in ("args", "env", "root") if k in content}
        operations = [run, {"type": "wait", "exit_code": content.get("exit_code", 0)}]
        for stream in ("stderr", "stdout"):
            if content.get(stream):
                read_it = {"type": "read", "id": stream, "payload": content[stream]}
                operations.insert(1, read_it)
        assert set(content) <= LEGACY | {"proposals"}, (
            f"{file}: unknown keys {set(content) - LEGACY}"
        )
    return Case(name, component, file.parent, operations, content.get("proposals", []))


class Execution:
    """One run of a case: a process, its pipes and its sockets."""

    def __init__(self, case: Case, scratch: Path) -> None:
        self._case = case
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._cleanup = ExitStack()

    def run(self) -> None:
        """Do every operation; raises CaseFailedError at the first that goes wrong."""
        with self._cleanup:
            for operation in self._case.operations:
                kind = operation["type"]
                action = getattr(self, f"_do_{kind}", None)
                if action is None:
                    raise CaseFailedError(f"the operation {kind} needs an HTTP server")
                action(operation)

    def _do_run(self, operation: dict[str, Any]) -> None:
        given = {
            "component": str(self._case.component),
            "arguments": operation.get("args", []),
            "environment": operation.get("env", {}),
            "directories": {},
            "network": NETWORK if "sockets" in self._case.proposals else [],
        }
        if root := operation.get("root"):
            # A copy: what a case leaves behind must not meet the next one.
            copied = self._scratch / root
            shutil.copytree(self._case.folder / root, copied, symlinks=True)
            given["directories"]["/"] = str(copied)
        command = [sys.executable, str(RUNNER), json.dumps(given)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._cleanup.callback(self._end)

    def _do_write(self, operation: dict[str, Any]) -> None:
        stdin = self._running().stdin
        assert stdin is not None
        stdin.write(operation.get("payload", "").encode())
        stdin.flush()

    def _do_read(self, operation: dict[str, Any]) -> None:
        process = self._running()
        stream = process.stderr if operation.get("id") == "stderr" else process.stdout
        assert stream is not None
        expected = operation.get("payload", "").encode()
        self._expect(operation, expected, stream.read(len(expected)))

    def _do_connect(self, operation: dict[str, Any]) -> None:
        stdout = self._running().stdout
        assert stdout is not None
        host, _, port = stdout.readline().decode().strip().rpartition(":")
        if not port.isdigit():
            raise CaseFailedError(f"{operation}: the guest printed no address")
        connected = socket.create_connection((host, int(port)), timeout=TIMEOUT)
        self._sockets[operation["id"]] = self._cleanup.enter_context(connected)

    def _do_send(self, operation: dict[str, Any]) -> None:
        self._sockets[operation["id"]].sendall(operation.get("payload", "").encode())

    def _do_recv(self, operation: dict[str, Any]) -> None:
        expected = operation.get("payload", "").encode()
        received = self._sockets[operation["id"]].recv(len(expected))
        self._expect(operation, expected, received)

    def _do_wait(self, operation: dict[str, Any]) -> None:
        for connected in self._sockets.values():
            connected.close()
        process = self._running()
        try:
            _, stderr = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise CaseFailedError(f"still running after {TIMEOUT} s") from None
        expected = operation.get("exit_code", 0)
        if process.returncode != expected:
            said = " ".join(stderr.decode(errors="replace").split())[-400:]
            raise CaseFailedError(f"exit code {process.returncode}, expected {expected}: {said}")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the case begins with run"
        return self._process

    def _end(self) -> None:
        process = self._running()
        if process.poll() is None:
            process.kill()
        process.communicate()

    def _expect(self, operation: dict[str, Any], expected: bytes, actual: bytes) -> None:
        if actual != expected:
            raise CaseFailedError(f"{operation}: got {actual!r}")
