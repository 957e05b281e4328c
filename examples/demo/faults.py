"""Components that trap or never end, beside those that go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airssys.wasm import Limits
from examples.demo.delivery import BUILT
from examples.demo.http_client import Connection
from examples.demo.telling import chapter, fail, tell

if TYPE_CHECKING:
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from examples.demo.load import Load
    from examples.demo.server import Server


def contained(load: Load, host: BlockingConnectedHost, server: Server) -> None:
    """Let a request trap and another run away, beside the load."""
    chapter("requests that trap and run away")
    load.enter("beside faults")
    limits = Limits(call_timeout=0.5)
    host.deploy(BUILT / "http-faults.wasm", name="demo/faults", limits=limits)
    expected = {"/trap": 502, "/loop": 504, "/status/200": 200}
    for path, (status, answer) in asyncio.run(asked(server.http, list(expected))).items():
        said = answer if status == 200 else f"{answer['title']} ({answer['type']})"
        tell(f"GET {path}: {status} {said.strip()}")
        if status != expected[path]:
            raise fail(f"GET {path} answered {status}, expected {expected[path]}")


async def asked(address: str, paths: list[str]) -> dict[str, tuple[int, Any]]:
    """Ask for one page after the other."""
    async with Connection(address) as connection:
        return {path: await connection.get(path) for path in paths}
