"""Between Python messages and payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airssys.wasm import codecs

if TYPE_CHECKING:
    from airssys.wasm.actors.settings import ActorSettings

__all__ = ["decode_payload", "encode_payload"]


def encode_payload(message: object, settings: ActorSettings) -> bytes:
    """Return the payload of a message: bytes as they are, any other value by the codec.

    Raises:
        ValueUnencodable: The codec has no bytes for the value.
        PayloadTooLarge: The payload has more bytes than a message may.
    """
    if isinstance(message, bytes):
        return message
    return codecs.encode(message, settings.codec, limit=int(settings.message_size))


def decode_payload(payload: bytes, expected: Any = None) -> Any:
    """Return the value of a payload, or the payload itself where its codec is not known here.

    Raises:
        PayloadUndecodable: The bytes are not what the codec or `expected` allows.
    """
    if expected is bytes:
        return payload
    return codecs.decode(payload, expected, limit=None)
