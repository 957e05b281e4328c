"""Sizes, spans of time and version ranges, as manifests write them."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from airssys.wasm.limits import parse_bytes

__all__ = ["WORDS", "Range", "Size", "Span", "Text", "bytes_of", "seconds_of"]

# `$` alone would let a line end stand behind it.
_SIZES: Final = r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)$(?!\n)"
_SPANS: Final = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$(?!\n)"
_PART: Final = r"(\^|~|=|>=|<=|>|<)?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}(-[0-9A-Za-z.-]+)?"
_RANGES: Final = rf"^(\*|{_PART}(, *{_PART})*)$(?!\n)"

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
#: A number of bytes with a unit: `64MiB`.
Size: TypeAlias = Annotated[str, Meta(pattern=_SIZES, examples=["64MiB"])]
#: A span of time with a unit: `5s`, `100ms`.
Span: TypeAlias = Annotated[str, Meta(pattern=_SPANS, examples=["5s", "100ms"])]
#: Versions that will do: `^1.0`, or parts joined by commas that must all hold.
Range: TypeAlias = Annotated[str, Meta(pattern=_RANGES, examples=["^1.0", ">=1.2, <2"])]
#: What to say of a text that does not match, by the pattern.
WORDS: Final = {
    _SIZES: "bytes and a unit (B, KiB, MiB, GiB), such as '64MiB'",
    _SPANS: "a span of time and its unit (ms, s, m, h, d), such as '5s'",
    _RANGES: "versions, such as '^1.0' or '>=1.2, <2'",
}

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def bytes_of(size: str) -> int:
    """Return the bytes of a `Size`."""
    return parse_bytes(size)


def seconds_of(span: str) -> float:
    """Return the seconds of a `Span`."""
    match = _SPAN.fullmatch(span)
    if match is None:
        raise ValueError(f"{span!r} is no span of time: expected a number and ms, s, m, h or d")
    return float(match[1]) * _SECONDS[match[2]]
