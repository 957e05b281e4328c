"""The peer: request and reply by nats-py over a `nats-server` of this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import UnavailableError

try:
    import nats
except ImportError as missing:
    raise UnavailableError("nats-py is not installed; `make setup` installs it") from missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from nats.aio.msg import Msg

NAME = "nats-py, local server"


@contextmanager
def server() -> Iterator[str]:
    """Run a server on a free port of the loopback interface and give its address."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise UnavailableError("nats-server is not installed; `make setup` installs it")
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield _address(process, Path(folder))
        finally:
            process.terminate()
            process.wait(10)


def _address(process: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        for file in folder.glob("*.ports"):
            text = file.read_text()
            if text:
                return str(json.loads(text)["nats"][0])
        time.sleep(0.01)
    raise UnavailableError(f"nats-server did not start; exit status {process.poll()}")


@asynccontextmanager
async def requests(address: str, payload: bytes) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Connect a requester and a responder that gives back what it gets; yield one request.

    Both live in this process, so that the peer saves a process switch, as a component does.
    """
    requester = await nats.connect(address)
    responder = await nats.connect(address)

    async def respond(message: Msg) -> None:
        await message.respond(message.data)

    try:
        await responder.subscribe("echo", cb=respond)
        await responder.flush()

        async def request() -> object:
            return await requester.request("echo", payload, timeout=5)

        yield request
    finally:
        await requester.close()
        await responder.close()
