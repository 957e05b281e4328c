"""Components in files."""

from __future__ import annotations

import os
from typing import Final

from airssys.osl.regular_file import read_regular
from airssys.wasm.errors import InvalidComponent

__all__ = ["named", "read_component"]

# Bytes; what is compiled is bounded apart.
_MOST: Final = 1 << 30


def read_component(path: str | os.PathLike[str]) -> bytes:
    """Return what a regular file holds, which a component may be.

    Raises:
        OSError: It cannot be read, is no regular file, or has more than 1 GiB.
    """
    return read_regular(path, _MOST)


def named(error: InvalidComponent, source: object) -> InvalidComponent:
    """Return the error with the file in front, where the component was given as one."""
    if not isinstance(source, (str, os.PathLike)):
        return error
    return InvalidComponent(f"{os.fspath(source)}: {error.message}", reason=error.reason)
