"""Calls, values, host functions, instances, loading, hosts and memory beside wasmtime-py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.row import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything; `seconds` is about the time for each row."""
    try:
        from benchmarks.wasm import (  # noqa: PLC0415 - may be missing
            calls,
            hosting,
            instances,
            loading,
            memory,
        )
    except ImportError as missing:
        raise UnavailableError(f"{missing}; `make setup` builds and installs it") from missing
    yield from calls.rows(seconds)
    yield from instances.rows(seconds)
    yield from loading.rows(seconds)
    yield from hosting.rows(seconds)
    yield from memory.rows()
