"""Codecs by name and prefix, and the way from a value to a payload and back."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, TypeVar, overload

from airssys.wasm.codecs.borsh import BorshCodec
from airssys.wasm.codecs.cbor import CborCodec
from airssys.wasm.codecs.errors import (
    CodecConflict,
    CodecMismatch,
    PayloadTooLarge,
    PayloadUndecodable,
    UnknownCodec,
    ValueUnencodable,
)
from airssys.wasm.codecs.json_codec import JsonCodec
from airssys.wasm.codecs.message_pack import MessagePackCodec
from airssys.wasm.codecs.prefix import PREFIXES, read_prefix, write_prefix
from airssys.wasm.codecs.raw import RawCodec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airssys.wasm.codecs.codec import Codec

__all__ = ["MESSAGE_SIZE", "Registry", "negotiate"]

T = TypeVar("T")

#: Bytes that a payload may have where nobody says otherwise: 1 MiB, prefix included.
MESSAGE_SIZE = 1024 * 1024

_NAMES = {number: name for name, number in PREFIXES.items()}
_FAILURES = (ValueError, TypeError, OverflowError, RecursionError)


class Registry:
    """The codecs that a program knows, by name and by prefix.

    A new one holds `cbor`, `json`, `messagepack`, `borsh` and `raw`. `encode` and `decode` of
    `airssys.wasm.codecs` use one for the whole process, and `register` adds to it.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Codec] = {}
        self._by_prefix: dict[int, Codec] = {}
        self._written: dict[str, bytes] = {}
        self._by_short_prefix: dict[bytes, Codec] = {}  # of one and two bytes, as they are written
        for codec in (CborCodec(), JsonCodec(), MessagePackCodec(), BorshCodec(), RawCodec()):
            self.register(codec)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the codecs, in the order of their registration."""
        return tuple(self._by_name)

    def numbers(self, names: Iterable[str] | None = None) -> list[int]:
        """Return the prefixes of codecs by their names, or of all that there are.

        Raises:
            UnknownCodec: There is none of a name.
        """
        return [self.codec(name).prefix for name in (self._by_name if names is None else names)]

    def register(self, codec: Codec) -> None:
        """Add a codec.

        Raises:
            CodecConflict: The name or the prefix is taken, here or in the table that hosts and
                components share.
            ValueError: The prefix is not in 0..2^63-1.
        """
        written = write_prefix(codec.prefix)
        holder = self._by_prefix.get(codec.prefix)
        meant = _NAMES.get(codec.prefix, codec.name)
        if codec.name in self._by_name or holder or meant != codec.name:
            other = codec.name if codec.name in self._by_name else (holder or codec).name
            if meant != codec.name:
                other = meant
            raise CodecConflict(
                f"the codec {codec.name!r} (prefix {codec.prefix:#x}) cannot be registered: "
                f"{other!r} has that name or prefix; take another, private ones begin at 0x300000"
            )
        if PREFIXES.get(codec.name, codec.prefix) != codec.prefix:
            raise CodecConflict(
                f"the codec {codec.name!r} has the prefix {PREFIXES[codec.name]:#x} everywhere, "
                f"not {codec.prefix:#x}"
            )
        self._by_name[codec.name] = codec
        self._by_prefix[codec.prefix] = codec
        self._written[codec.name] = written
        if len(written) <= 2:
            self._by_short_prefix[written] = codec

    def codec(self, name: str) -> Codec:
        """Look a codec up by its name.

        Raises:
            UnknownCodec: There is none of that name.
        """
        try:
            return self._by_name[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._by_name, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "register it, or take one of these."
            raise UnknownCodec(
                f"no codec is named {name!r}; there are {', '.join(self._by_name)}; {hint}",
                wanted=name,
                known=self.names,
            ) from None

    def codec_of(self, payload: bytes) -> Codec:
        """Tell which codec wrote a payload, by its prefix.

        Raises:
            UnknownCodec: The payload has no prefix, or one of no registered codec.
        """
        return self._split(payload)[0]

    def encode(
        self,
        value: object,
        codec: str = "cbor",
        *,
        type: Any = None,  # noqa: A002 - as `decode` names it
        limit: int | None = MESSAGE_SIZE,
    ) -> bytes:
        """Turn a value into a payload: the codec's prefix, then its bytes.

        Args:
            value: What the codec knows: builtins, dataclasses, `msgspec.Struct`s, enums, dates.
            codec: Name of the codec.
            type: What to write the value as, for codecs whose bytes do not say what they are
                (`borsh`, unless the value is a dataclass or an enum).
            limit: Bytes that the payload may have, or None for any number.

        Returns:
            The payload.

        Raises:
            UnknownCodec: No codec has that name.
            ValueUnencodable: The codec has no bytes for the value.
            PayloadTooLarge: The payload has more bytes than `limit`.
        """
        chosen = self.codec(codec)
        try:
            body = chosen.encode(value, type)
        except _FAILURES as error:
            reason = _reason(error)
            raise ValueUnencodable(
                f"{codec} cannot hold this {value.__class__.__name__}: {reason}",
                codec=codec,
                reason=reason,
            ) from error
        payload = self._written[codec] + body
        _bounded(payload, limit)
        return payload

    @overload
    def decode(
        self, payload: bytes, type: None = None, *, limit: int | None = MESSAGE_SIZE
    ) -> Any: ...

    @overload
    def decode(self, payload: bytes, type: type[T], *, limit: int | None = MESSAGE_SIZE) -> T: ...

    @overload
    def decode(self, payload: bytes, type: Any, *, limit: int | None = MESSAGE_SIZE) -> Any: ...

    def decode(
        self,
        payload: bytes,
        type: Any = None,  # noqa: A002 - msgspec's name for it
        *,
        limit: int | None = MESSAGE_SIZE,
    ) -> Any:
        """Turn a payload into a value, by the codec that its prefix names.

        Hostile bytes are bounded: in size by `limit`, in depth, and lengths they claim are not
        believed before the bytes are there.

        Args:
            payload: Prefix and bytes.
            type: What is expected, as an annotation (`dict[str, int]`, a dataclass, a `Struct`);
                None takes whatever is there. `borsh` needs one.
            limit: Bytes that the payload may have, or None for any number.

        Returns:
            The value, checked against `type`.

        Raises:
            UnknownCodec: The payload has no prefix, or one of no registered codec.
            PayloadUndecodable: The bytes are not what the codec or the type allows.
            PayloadTooLarge: The payload has more bytes than `limit`.
        """
        _bounded(payload, limit)
        codec, start = self._split(payload)
        try:
            return codec.decode(payload[start:], type)
        except _FAILURES as error:
            reason = _reason(error)
            raise PayloadUndecodable(
                f"the payload of {len(payload)} bytes is no valid {codec.name}"
                f"{'' if type is None else f' of {_named(type)}'}: {reason}",
                codec=codec.name,
                reason=reason,
            ) from error

    def _split(self, payload: bytes) -> tuple[Codec, int]:
        for length in (2, 1):  # the common ones, without reading bit by bit
            short = self._by_short_prefix.get(payload[:length])
            if short is not None:
                return short, length
        found = read_prefix(payload)
        if found is None:
            raise UnknownCodec(
                f"the payload of {len(payload)} bytes does not begin with a codec's prefix; "
                f"write it with encode(value, codec), codec being one of {', '.join(self.names)}",
                wanted=None,
                known=self.names,
            )
        number, start = found
        codec = self._by_prefix.get(number)
        if codec is None:
            name = f" ({_NAMES[number]})" if number in _NAMES else ""
            raise UnknownCodec(
                f"no codec is registered for the prefix {number:#x}{name}; there are "
                f"{', '.join(self.names)}; register one, or ask the sender for one of these",
                wanted=number,
                known=self.names,
            )
        return codec, start


def negotiate(offered: Sequence[str], accepted: Iterable[str]) -> str:
    """Choose the codec for messages from one sender to one receiver.

    Args:
        offered: The codecs that the sender can write, preferred first.
        accepted: The codecs that the receiver reads.

    Returns:
        The first one offered that is accepted.

    Raises:
        CodecMismatch: There is none; it carries both lists.
    """
    readable = list(accepted)
    for name in offered:
        if name in readable:
            return name
    raise CodecMismatch(
        f"the receiver accepts {_listed(readable)} and the sender offers {_listed(offered)}; "
        "let one of them take a codec of the other",
        offered=offered,
        accepted=readable,
    )


def _bounded(payload: bytes, limit: int | None) -> None:
    if limit is not None and len(payload) > limit:
        raise PayloadTooLarge(
            f"the payload has {len(payload)} bytes, a message at most {limit}; send less, or a "
            "reference to it",
            size=len(payload),
            most=limit,
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _named(expected: Any) -> str:
    return expected.__name__ if isinstance(expected, type) else str(expected)


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
