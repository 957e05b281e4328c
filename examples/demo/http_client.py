"""An HTTP/1.1 connection that is kept, with as little around it as a load generator needs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class Connection:
    """One connection; used by one caller at a time.

    Args:
        address: Where the server listens, as `127.0.0.1:8080`.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, arguments: list[Any]) -> tuple[int, Any]:
        """Call a function of a deployment; returns the status and what the body holds."""
        body = json.dumps(arguments).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        return await self._exchange(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask for a page; returns the status and the body, as text where it is no JSON."""
        return await self._exchange(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    async def _exchange(self, request: bytes) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(request)
        status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        told = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in headers)
        }
        if "content-length" in told:
            body = await reader.readexactly(int(told["content-length"]))
        else:
            body = await _chunks(reader)
        if told.get("connection") == "close":
            self.close()
        as_json = "json" in told.get("content-type", "")
        return int(status.split()[1]), json.loads(body) if as_json else body.decode()

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while length := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(length + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
