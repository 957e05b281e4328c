"""What one instance may use."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from airssys.wasm._native import _core

__all__ = ["Limits", "parse_bytes"]

_UNITS: Final = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_LARGEST: Final = 1 << 62
_COUNTS: Final = (
    "table_elements",
    "core_instances",
    "memories",
    "tables",
    "open_handles",
    "connections",
    "storage_keys",
    "storage_key",
)
SIZES: Final = (
    "memory",
    "host_call_bytes",
    "http_request_body",
    "http_response_body",
    "http_headers",
    "storage",
    "storage_value",
)
"""The limits in bytes, which may be written with a unit."""
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_bytes(size: int | str, *, name: str = "size") -> int:
    """Read a number of bytes: `1024`, `"64MiB"`, `"1.5 GB"`.

    Args:
        size: The number, or text with a unit of `B KiB MiB GiB kB MB GB`.
        name: What it is called in the error.

    Raises:
        ValueError: If it is negative or cannot be read.
    """
    if isinstance(size, int) and not isinstance(size, bool):
        if not 0 <= size < _LARGEST:
            raise ValueError(f"{name}: expected a number of bytes, got {size}")
        return size
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None or match[2] not in _UNITS:
        raise ValueError(
            f"{name}: expected bytes such as 1048576 or '64MiB' "
            f"(units: {', '.join(unit for unit in _UNITS if unit)}), got {size!r}"
        )
    return int(float(match[1]) * _UNITS[match[2]])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one instance; each is on by default.

    A violation raises `LimitExceeded` from the call and poisons the instance.

    Attributes:
        memory: Bytes of linear memory, all memories together; `int` or text such as `"64MiB"`.
        table_elements: Elements of all tables together.
        core_instances: Core module instances inside the component.
        memories: Linear memories.
        tables: Tables.
        call_timeout: Seconds one call may take, waiting included.
        cpu_per_call: Seconds of processor time one call may use.
        host_call_bytes: Bytes that one host call may copy out of the guest; what a call returns,
            such as a list, is copied too.
        open_handles: Files, sockets, streams and host resources held at a time.
        http_request_body: Bytes of the body of an HTTP request that the guest sends. What would
            exceed a limit of HTTP is refused with an error that the guest sees (such as
            `HTTP-request-body-size`) and is on record, and poisons nothing.
        http_response_body: Bytes of the body of a response to it.
        http_headers: Bytes of the headers of either, names and values.
        connections: Sockets, and HTTP requests under way, at a time. One more is refused with an
            error that the guest sees, and poisons nothing.
        messages_per_second: Messages that one actor may send; one more is refused (`too-many`),
            and poisons nothing. At most a second's worth comes at once.
        log_lines_per_second: Lines that the guests of the deployment may log, standard output and
            error included; more are dropped and counted.
        audit_records_per_second: Accesses of the deployment that are recorded one by one; beyond
            it identical denials are counted in one record, and accesses that can wait are slowed.
            As many come at once.
        storage: Bytes of keys and values that the deployment may store. What would exceed a limit
            of storage is refused with an error that the guest sees, and poisons nothing.
        storage_keys: Keys that the deployment may store.
        storage_key: Bytes of one key, at most 4096.
        storage_value: Bytes of one value.
        coredump: Attach a core dump to `Trap` (copies the guest's memory when it traps).
    """

    memory: int | str = "64MiB"
    table_elements: int = 100_000
    core_instances: int = 64
    memories: int = 8
    tables: int = 32
    call_timeout: float = 30.0
    cpu_per_call: float = 10.0
    host_call_bytes: int | str = "128MiB"
    open_handles: int = 256
    http_request_body: int | str = "64MiB"
    http_response_body: int | str = "64MiB"
    http_headers: int | str = "64KiB"
    connections: int = 64
    messages_per_second: int = 1_000_000
    log_lines_per_second: int = 1000
    audit_records_per_second: int = 10_000
    storage: int | str = "50MiB"
    storage_keys: int = 100_000
    storage_key: int = 256
    storage_value: int | str = "1MB"
    coredump: bool = False
    _native: _core.Limits = dataclasses.field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        """Check every bound and hand them to the native core once."""
        for name in _COUNTS:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < _LARGEST:
                raise ValueError(f"{name}: expected a count, got {value!r}")
        for name in ("call_timeout", "cpu_per_call"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 < value < 10**9:
                raise ValueError(f"{name}: expected seconds above 0, got {value!r}")
        for name in ("messages_per_second", "log_lines_per_second", "audit_records_per_second"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= 10**9:
                raise ValueError(f"{name}: expected a rate of 1 to 1000000000, got {value!r}")
        for name in ("storage", "storage_value"):
            parse_bytes(getattr(self, name), name=name)
        native = _core.Limits(
            memory=parse_bytes(self.memory, name="memory"),
            table_elements=self.table_elements,
            core_instances=self.core_instances,
            memories=self.memories,
            tables=self.tables,
            call_timeout=self.call_timeout,
            cpu_per_call=self.cpu_per_call,
            host_call_bytes=parse_bytes(self.host_call_bytes, name="host_call_bytes"),
            open_handles=self.open_handles,
            http_request_body=parse_bytes(self.http_request_body, name="http_request_body"),
            http_response_body=parse_bytes(self.http_response_body, name="http_response_body"),
            http_headers=parse_bytes(self.http_headers, name="http_headers"),
            coredump=self.coredump,
            connections=self.connections,
            messages_per_second=self.messages_per_second,
        )
        object.__setattr__(self, "_native", native)

    @property
    def native(self) -> _core.Limits:
        """The same bounds as the native core holds them."""
        return self._native
