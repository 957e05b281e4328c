"""What can go wrong between a value and the payload of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CodecConflict",
    "CodecError",
    "CodecMismatch",
    "PayloadTooLarge",
    "PayloadUndecodable",
    "UnknownCodec",
    "ValueUnencodable",
]


class CodecError(AirsSysError):
    """A value and a payload do not meet."""

    default_code = "codec-error"


class UnknownCodec(CodecError):
    """A payload's prefix, or a codec's name, belongs to no registered codec.

    Attributes:
        wanted: The name asked for, or the prefix found; None when the payload has no valid prefix.
        known: The names of the registered codecs.
    """

    default_code = "unknown-codec"

    def __init__(self, message: str, *, wanted: str | int | None, known: Sequence[str]) -> None:
        super().__init__(message, wanted=wanted, known=list(known))
        self.wanted = wanted
        self.known = tuple(known)


class CodecMismatch(CodecError):
    """Sender and receiver have no codec in common.

    Attributes:
        offered: The codecs that the sender can write, in its order of preference.
        accepted: The codecs that the receiver reads.
    """

    default_code = "codec-mismatch"

    def __init__(self, message: str, *, offered: Sequence[str], accepted: Sequence[str]) -> None:
        super().__init__(message, offered=list(offered), accepted=list(accepted))
        self.offered = tuple(offered)
        self.accepted = tuple(accepted)


class CodecConflict(CodecError):
    """A codec's name or prefix is another's already."""

    default_code = "codec-conflict"


class PayloadUndecodable(CodecError):
    """The bytes after the prefix are not what the codec, or the type asked for, allows.

    Attributes:
        codec: Name of the codec.
        reason: What is wrong, with the place where the codec knows it.
    """

    default_code = "payload-undecodable"

    def __init__(self, message: str, *, codec: str, reason: str) -> None:
        super().__init__(message, codec=codec, reason=reason)
        self.codec = codec
        self.reason = reason


class ValueUnencodable(CodecError):
    """The codec has no bytes for the value.

    Attributes:
        codec: Name of the codec.
        reason: What is wrong with the value.
    """

    default_code = "value-unencodable"

    def __init__(self, message: str, *, codec: str, reason: str) -> None:
        super().__init__(message, codec=codec, reason=reason)
        self.codec = codec
        self.reason = reason


class PayloadTooLarge(CodecError):
    """A payload has more bytes than a message may.

    Attributes:
        size: Bytes of the payload, prefix included.
        most: Bytes allowed.
    """

    default_code = "payload-too-large"

    def __init__(self, message: str, *, size: int, most: int) -> None:
        super().__init__(message, size=size, most=most)
        self.size = size
        self.most = most
