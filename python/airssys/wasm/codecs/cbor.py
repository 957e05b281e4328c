"""CBOR, by cbor2, within bounds."""

from __future__ import annotations

import datetime as dt
from io import BytesIO
from typing import Any, NoReturn

import cbor2
import msgspec

__all__ = ["CborCodec"]

DEEPEST = 128
# Keys that are no strings can be crafted to collide, and then cost the square of their number: this
# many bytes of them cost some 30 ms.
MOST_BYTES_WITH_ANY_KEYS = 16 * 1024
_KEPT = (bytes, bytearray, memoryview, dt.datetime)


def _refuse_tag(value: object, immutable: bool) -> NoReturn:  # noqa: ARG001 - cbor2's call
    """Refuse tags that build more than their bytes: cycles, patterns, mails, huge fractions."""
    raise ValueError("unsupported tag")


def _refuse_unknown_tag(tag: cbor2.CBORTag, immutable: bool) -> NoReturn:  # noqa: ARG001
    raise ValueError(f"unsupported tag {tag.tag}")


# What cbor2 decodes by itself, but for dates (0, 1, 100, 1004), big integers (2, 3), UUIDs (37),
# sets (258) and the mark of self-described CBOR (55799).
_REFUSED = dict.fromkeys((4, 5, 25, 28, 29, 30, 35, 36, 52, 54, 256, 260, 261, 43000), _refuse_tag)


class CborCodec:
    """CBOR (RFC 8949): compact, carries bytes as bytes and integers of any size; the default.

    Keys of maps are text or bytes; others are read in payloads up to 16 KiB. Nesting ends at 128
    levels. Tags for dates, big integers, UUIDs and sets are read, all others are refused.
    """

    name = "cbor"
    prefix = 0x51

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002, ARG002
        """Write builtins, dataclasses, structs, enums, dates; sets as arrays, UUIDs as text."""
        try:
            return cbor2.dumps(msgspec.to_builtins(value, builtin_types=_KEPT))
        except cbor2.CBOREncodeError as error:
            raise ValueError(str(error.__cause__ or error)) from error

    def decode(self, body: bytes, type: Any) -> Any:  # noqa: A002
        """Read one value and convert it to `type` where there is one."""
        stream = BytesIO(body)
        decoder = cbor2.CBORDecoder(
            stream,
            semantic_decoders=_REFUSED,
            tag_hook=_refuse_unknown_tag,
            max_depth=DEEPEST,
            allow_duplicate_keys=False,
            strict_hashable_types=len(body) > MOST_BYTES_WITH_ANY_KEYS,
        )
        try:
            value = decoder.decode()
        except cbor2.CBORDecodeError as error:
            cause = f": {error.__cause__}" if error.__cause__ else ""
            raise ValueError(f"{error}{cause}") from error
        if stream.tell() != len(body):
            raise ValueError(f"{len(body) - stream.tell()} bytes follow the value")
        return value if type is None else msgspec.convert(value, type, builtin_types=_KEPT)
