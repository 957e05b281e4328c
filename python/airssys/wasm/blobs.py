"""The content store: the bytes of components, named by their SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from typing import TYPE_CHECKING

from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.host_errors import ComponentDamaged

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["BlobStore", "digest_of"]

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def digest_of(content: bytes) -> str:
    """Return the digest that names `content`: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class BlobStore:
    """Immutable byte strings under `blobs/sha256/`, durable before they are acknowledged.

    A blob is written beside its place, made durable, and renamed into it: whoever sees a blob sees
    all of it. The owner of the state directory is the only writer.

    Args:
        directory: The state directory; it exists and is owned.
        folder: Where in it.
    """

    def __init__(self, directory: Path, folder: str = "blobs") -> None:
        self._directory = directory
        self._root = directory / folder / "sha256"
        with explained("make the content store", directory):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._root.parent)
            for leftover in self._root.glob("*.partial"):
                leftover.unlink()

    def put(self, content: bytes, digest: str | None = None) -> str:
        """Store `content` durably and return its digest; what is there already is kept.

        Args:
            content: The bytes.
            digest: What `digest_of` says of them, where that is known.

        Raises:
            StateWriteFailed: No room, or not writable; nothing was stored.
        """
        digest = digest or digest_of(content)
        path = self._path(digest)
        with explained(f"store a component of {len(content)} bytes", self._directory):
            if not _holds(path, digest):
                self._write(path, content)
            # Also for a blob that was there: whoever renamed it may have died before this.
            sync_directory(self._root)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes that `digest` names, verified.

        Raises:
            ComponentDamaged: They are missing, unreadable, or not what was stored.
        """
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ComponentDamaged(
                f"the bytes of component {digest} cannot be read: {path}: {error.strerror}",
                hint="deploy the component again, or restore the state directory from a backup",
                digest=digest,
            ) from error
        if digest_of(content) != digest:
            raise ComponentDamaged(
                f"the bytes of component {digest} are damaged: {path} no longer matches its digest",
                hint="deploy the component again, or restore the state directory from a backup",
                digest=digest,
            )
        return content

    def keep_only(self, digests: Collection[str]) -> int:
        """Delete every blob that is not in `digests`, and return how many bytes that freed.

        Raises:
            StateWriteFailed: The system refused to delete one.
        """
        kept = {self._path(digest).name for digest in digests}
        freed = 0
        with explained("delete unused components", self._directory):
            for path in self._root.iterdir():
                if path.name not in kept:
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def _path(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise ValueError(f"expected sha256: and 64 hexadecimal digits, got {digest!r}")
        return self._root / match.group(1)

    def _write(self, path: Path, content: bytes) -> None:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(partial, flags, 0o400), "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _holds(path: Path, digest: str) -> bool:
    try:
        return digest_of(path.read_bytes()) == digest
    except FileNotFoundError:
        return False
