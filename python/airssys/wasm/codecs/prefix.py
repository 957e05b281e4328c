"""The multicodec prefix of a payload: which codec wrote the bytes that follow it.

A prefix is a number of the multicodec table, written as the multiformats' unsigned varint: seven
bits a byte, lowest first, at most nine bytes, no longer than needed.
"""

from __future__ import annotations

__all__ = ["PREFIXES", "read_prefix", "write_prefix"]

#: The prefixes that hosts and components agree on, by the name of the codec.
PREFIXES = {
    "protobuf": 0x50,
    "cbor": 0x51,
    "raw": 0x55,
    "json": 0x0200,
    "messagepack": 0x0201,
    "borsh": 0x0701,
}

_MOST_BYTES = 9


def write_prefix(number: int) -> bytes:
    """Write a prefix.

    Args:
        number: At least 0, below 2 to the 63rd.

    Returns:
        One to nine bytes.

    Raises:
        ValueError: The number is outside the range.
    """
    if not 0 <= number < 1 << 7 * _MOST_BYTES:
        raise ValueError(f"the prefix {number} is not in 0..2^63-1")
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def read_prefix(payload: bytes) -> tuple[int, int] | None:
    """Read the prefix of a payload.

    Returns:
        The number and how many bytes it takes, or None when the payload does not begin with a
        prefix: it is empty, or ends within one, or the varint is longer than nine bytes or than
        its number needs.
    """
    number = 0
    for index, byte in enumerate(payload[:_MOST_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            overlong = byte == 0 and index > 0
            return None if overlong else (number, index + 1)
    return None
