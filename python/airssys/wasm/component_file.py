"""Components in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airssys.osl.regular_file import read_regular

if TYPE_CHECKING:
    import os

__all__ = ["read_component"]

# Bytes; what is compiled is bounded apart.
_MOST: Final = 1 << 30


def read_component(path: str | os.PathLike[str]) -> bytes:
    """Return what a regular file holds, which a component may be.

    Raises:
        OSError: It cannot be read, is no regular file, or has more than 1 GiB.
    """
    return read_regular(path, _MOST)
