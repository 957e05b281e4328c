"""Components on their way in: streamed to files, checked, and kept for a while."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Final

from airssys.wasm.durable import explained
from airssys.wasm.remote.errors import (
    DigestMismatch,
    InvalidRequest,
    RequestTooLarge,
    ServerBusy,
    UnknownComponent,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["MOST_BYTES", "Uploads"]

#: Bytes of the largest component that is taken.
MOST_BYTES: Final = 64 << 20
#: Bytes of all that wait to be deployed.
MOST_WAITING: Final = 512 << 20
#: Seconds that one waits.
KEPT: Final = 600.0
#: Uploads at a time.
AT_ONCE: Final = 4


class Uploads:
    """Holds components until they are deployed, or for ten minutes.

    Args:
        directory: Where; what an earlier server left there is deleted.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiting: dict[str, tuple[int, float]] = {}
        self._coming = 0
        self._turns = asyncio.Semaphore(AT_ONCE)
        directory.mkdir(mode=0o700, exist_ok=True)
        for left in directory.iterdir():
            left.unlink()

    async def receive(
        self, content: AsyncIterator[bytes], length: int | None, digest: str | None
    ) -> tuple[str, int]:
        """Take a component in; return its digest and its size.

        Args:
            content: The bytes as they come.
            length: How many were announced.
            digest: The header `Content-Digest` (RFC 9530) with what they should be.

        Raises:
            InvalidRequest: No length was announced, or the header cannot be read.
            RequestTooLarge: It has more bytes than are taken.
            DigestMismatch: Other bytes came, or fewer; nothing was kept.
            ServerBusy: Too much waits to be deployed.
            StateWriteFailed: There is no room for it; nothing was kept.
        """
        if length is None:
            raise InvalidRequest("an upload says its length", hint="send `content-length`")
        if length > MOST_BYTES:
            raise RequestTooLarge(
                f"a component of {length} bytes is too large, at most {MOST_BYTES} are taken",
                size=length,
                most=MOST_BYTES,
            )
        announced = _announced(digest)
        async with self._turns:
            self._sweep()
            held = sum(size for size, _ in self._waiting.values())
            if held + self._coming + length > MOST_WAITING:
                raise ServerBusy(
                    "too many components wait to be deployed", hint="try again in a few minutes"
                )
            self._coming += length
            try:
                # What the client does wrong is no error of the system.
                with explained("take a component in", self._directory.parent):
                    return await self._store(content, length, announced)
            finally:
                self._coming -= length

    async def _store(
        self, content: AsyncIterator[bytes], length: int, announced: bytes | None
    ) -> tuple[str, int]:
        partial = self._directory / f"{secrets.token_hex(8)}.partial"
        found, size = hashlib.sha256(), 0
        try:
            with partial.open("xb") as file:
                async for chunk in content:
                    found.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
            if size != length:
                raise DigestMismatch(f"{size} bytes came, {length} were announced")
            if announced not in (None, found.digest()):
                raise DigestMismatch(
                    f"the bytes that came have the digest sha256:{found.hexdigest()}, "
                    "not the one that was announced",
                    hint="send it again",
                )
            partial.rename(self._path(found.hexdigest()))
        finally:
            partial.unlink(missing_ok=True)
        self._waiting[found.hexdigest()] = size, time.monotonic()
        return f"sha256:{found.hexdigest()}", size

    def find(self, digest: str) -> Path:
        """Return the file of a component that was uploaded.

        Raises:
            UnknownComponent: There is none of this digest, or not any more.
        """
        self._sweep()
        name = digest.removeprefix("sha256:")
        held = self._waiting.get(name)
        if held is None:
            raise UnknownComponent(
                f"no component {digest} was uploaded lately", hint="upload it with /v1/components"
            )
        self._waiting[name] = held[0], time.monotonic()
        return self._path(name)

    def drop(self, digest: str) -> None:
        """Delete a component that was deployed."""
        name = digest.removeprefix("sha256:")
        if self._waiting.pop(name, None) is not None:
            self._path(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything."""
        for name in list(self._waiting):
            self.drop(name)
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def _sweep(self) -> None:
        now = time.monotonic()
        for name, (_, since) in list(self._waiting.items()):
            if now - since > KEPT:
                self.drop(name)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.wasm"


def _announced(digest: str | None) -> bytes | None:
    """Return the SHA-256 of a `Content-Digest` header; None where it has none."""
    for member in (digest or "").split(","):
        name, _, value = member.strip().partition("=")
        if name != "sha-256":
            continue
        try:
            return base64.b64decode(value.strip(":"), validate=True)
        except binascii.Error as error:
            raise InvalidRequest(
                f"content-digest {digest!r} cannot be read", hint="as sha-256=:BASE64:"
            ) from error
    return None
