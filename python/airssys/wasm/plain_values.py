"""Values of guests as JSON has them, for people; `remote.values` loses nothing."""

from __future__ import annotations

import dataclasses
import enum

__all__ = ["plain"]


def plain(value: object) -> object:
    """Return what JSON has for a value: bytes are base64, a variant is `{case: payload}`."""
    if isinstance(value, enum.Flag):
        return [flag.name for flag in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if (case := getattr(value, "__wit_case__", None)) is not None:
        return {case: plain(getattr(value, "value", None))}
    if dataclasses.is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    known = value is None or isinstance(value, (bool, int, float, str, bytes))
    return value if known else str(value)
