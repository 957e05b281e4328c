"""Writing files that somebody may be reading, and saying which file is wrong."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from airssys.errors import AirsSysError
from airssys.wasm.host_errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["about", "replace_file"]


@contextlib.contextmanager
def about(path: Path) -> Iterator[None]:
    """Name a file in the error that ends the block, where the error does not name it itself."""
    try:
        yield
    except AirsSysError as error:
        if str(path) not in error.message:
            error.message = f"{path}: {error.message}"
            if isinstance(error, HostError):
                error.summary = f"{path}: {error.summary}"
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file, which is there whole at every moment."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        error.filename = str(path)  # what was asked for, not what stands beside it
        raise
    finally:
        beside.unlink(missing_ok=True)
