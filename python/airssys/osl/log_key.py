"""The key that signs the checkpoints of an audit log."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from airssys.osl.errors import OslError
from airssys.osl.regular_file import read_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["signing_key"]


def signing_key(path: Path) -> bytes:
    """Return the signing key of a log, made on first use.

    Raises:
        OslError: What lies there is no key.
        OSError: It cannot be read or made.
    """
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    seed = read_regular(path, 1 << 10)
    if len(seed) != 32:
        raise OslError(
            f"{path} is not the signing key of an audit log: it has {len(seed)} bytes, "
            "expected 32; restore it from a backup",
            code="audit-key-invalid",
            path=str(path),
        )
    return seed
