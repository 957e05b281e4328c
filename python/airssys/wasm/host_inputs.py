"""What callers give a host, as it works with it."""

from __future__ import annotations

import getpass
import os

from airssys.wasm.component_file import read_component
from airssys.wasm.host_errors import InvalidSetting

__all__ = ["Source", "read_source", "user", "wanted"]

Source = str | os.PathLike[str] | bytes | bytearray | memoryview


def wanted(grant: str | None) -> bool | None:
    """Return whether what is requested is to be granted; None where the operator's file says it.

    Raises:
        InvalidSetting: `grant` is none of `requested`, `none` and None.
    """
    if grant not in (None, "requested", "none"):
        raise InvalidSetting(
            f"grant {grant!r} is not known",
            hint="'requested' grants what the component asks for, 'none' no more than before",
        )
    return None if grant is None else grant == "requested"


def read_source(source: Source) -> bytes:
    """Return the bytes of a component.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    return read_component(source)


def user() -> str:
    """Return who runs this process, for the records."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
