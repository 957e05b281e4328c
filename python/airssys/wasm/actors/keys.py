"""The keys of a deployment's actors."""

from __future__ import annotations

import unicodedata
from typing import Final
from urllib.parse import quote

from airssys.wasm.host_errors import InvalidActorKey

__all__ = ["address_of", "child_name"]

#: Bytes of the longest address that the message plane takes.
_LONGEST: Final = 512
#: What the actor without a key is called among its siblings.
_MAIN: Final = "main"


def address_of(deployment: str, key: str) -> str:
    """Return the address of the actor of a key.

    Checked before anything is written down: a key that can have no actor would come back with every
    start of the host.

    Raises:
        InvalidActorKey: No actor can have it.
    """
    address = f"{deployment}#{key}" if key else deployment
    try:
        size = len(address.encode())
    except UnicodeEncodeError:
        raise _invalid(key, "it is no text") from None
    if size > _LONGEST:
        raise _invalid(key, f"the address has {size} bytes, of at most {_LONGEST}")
    if any(unicodedata.category(letter) == "Cc" for letter in key):
        raise _invalid(key, "it has control characters")
    return address


def _invalid(key: str, why: str) -> InvalidActorKey:
    shown = key if len(key) <= 40 else f"{key[:40]}…"
    return InvalidActorKey(
        f"{shown!r} can be no actor's key: {why}",
        hint=f"with the name of its deployment and '#' a key has at most {_LONGEST} bytes of text",
        key=key,
    )


def child_name(key: str) -> str:
    """Return the name in the tree of actors for a key, another one for each."""
    if not key:
        return _MAIN
    name = key.replace("%", "%25").replace("/", "%2F")
    if name == _MAIN:
        return f"%{ord(name[0]):X}{name[1:]}"
    inner = name.strip()
    if inner == name:
        return name
    before, _, after = name.partition(inner) if inner else (name, "", "")
    return quote(before) + inner + quote(after)
