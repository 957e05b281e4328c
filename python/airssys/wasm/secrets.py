"""Where the values of secrets come from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from airssys.wasm._native import _core

__all__ = ["SecretSource", "secret_source"]

_log = logging.getLogger(__name__)

SecretSource: TypeAlias = (
    Mapping[str, str] | Mapping[str, bytes] | Callable[[str], str] | Callable[[str], bytes]
)
"""Secrets by name: a mapping, or a function of the name that returns the value."""


def secret_source(
    source: SecretSource,
) -> dict[str, bytes] | Callable[[str], bytes | None]:
    """Make what the native core asks of what was given.

    Raises:
        ValueError: If a value of a mapping cannot be a secret; it is not shown.
        TypeError: If it is neither a mapping nor a function, or a value is neither text nor bytes.
    """
    if isinstance(source, Mapping):
        return {name: _checked(name, value) for name, value in source.items()}
    if not callable(source):
        raise TypeError(
            f"secrets: expected a mapping or a function of the name, got {type(source).__name__}"
        )

    def ask(name: str) -> bytes | None:
        try:
            return _checked(name, source(name))
        except Exception:  # noqa: BLE001  nobody above could report it: the native core asks
            _log.exception("the secret %s could not be had", name)
            return None

    return ask


def _checked(name: str, value: object) -> bytes:
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise TypeError(f"secret {name}: expected text or bytes, got {type(value).__name__}")
    _core.check_secret(name, value)
    return value
