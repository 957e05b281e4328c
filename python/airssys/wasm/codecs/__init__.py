"""Payloads of messages: a codec's prefix, then the bytes that it wrote.

The host checks the prefix and forwards the bytes; it never rewrites them. Sender and receiver
agree on a codec: a deployment says what it accepts, and a message in anything else fails where it
is sent.
"""

from __future__ import annotations

from airssys.wasm.codecs import borsh
from airssys.wasm.codecs.codec import Codec
from airssys.wasm.codecs.errors import (
    CodecConflict,
    CodecError,
    CodecMismatch,
    PayloadTooLarge,
    PayloadUndecodable,
    UnknownCodec,
    ValueUnencodable,
)
from airssys.wasm.codecs.prefix import PREFIXES, read_prefix, write_prefix
from airssys.wasm.codecs.registry import MESSAGE_SIZE, Registry, negotiate

__all__ = [
    "MESSAGE_SIZE",
    "PREFIXES",
    "Codec",
    "CodecConflict",
    "CodecError",
    "CodecMismatch",
    "PayloadTooLarge",
    "PayloadUndecodable",
    "Registry",
    "UnknownCodec",
    "ValueUnencodable",
    "borsh",
    "codec_of",
    "decode",
    "encode",
    "negotiate",
    "numbers",
    "read_prefix",
    "register",
    "write_prefix",
]

#: The registry behind `encode`, `decode`, `codec_of` and `register`.
_registry = Registry()

encode = _registry.encode
decode = _registry.decode
codec_of = _registry.codec_of
register = _registry.register
numbers = _registry.numbers
