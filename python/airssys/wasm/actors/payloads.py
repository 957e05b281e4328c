"""Between Python messages and payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airssys.wasm import codecs
from airssys.wasm.actors.failures import codec_name

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["choose_codec", "decode_payload", "encode_payload"]


#: What Python writes where nothing is said, the first that the receiver accepts.
WRITTEN: Final = ("cbor", "json", "messagepack", "raw")


def choose_codec(accepts: Sequence[int]) -> str:
    """Return the codec that values are sent in to a receiver which accepts these; none is any.

    Raises:
        CodecMismatch: It accepts none that any value can be written in; it carries both lists.
    """
    return codecs.negotiate(WRITTEN, [codec_name(number) for number in accepts] or WRITTEN)


def encode_payload(message: object, codec: str, limit: int) -> bytes:
    """Return the payload of a message: bytes as they are, any other value by the codec.

    Raises:
        ValueUnencodable: The codec has no bytes for the value.
        PayloadTooLarge: The payload has more bytes than a message may.
    """
    if isinstance(message, bytes):
        return message
    return codecs.encode(message, codec, limit=limit)


def decode_payload(payload: bytes, expected: Any = None) -> Any:
    """Return the value of a payload, or the payload itself where its codec is not known here.

    Raises:
        PayloadUndecodable: The bytes are not what the codec or `expected` allows.
    """
    if expected is bytes:
        return payload
    return codecs.decode(payload, expected, limit=None)
