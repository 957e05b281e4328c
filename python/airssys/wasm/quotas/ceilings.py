"""The most that a deployment, a namespace or a host may use."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ceilings", "HostCeilings", "half_of_the_memory"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What all instances of a deployment, or of a namespace, may use together.

    A call that would exceed one raises `LimitExceeded`, whose `owner` says whose ceiling it is.
    Others are not disturbed.

    Attributes:
        memory: Bytes of linear memory; `int` or text such as `"2GiB"`. None for what the next
            higher one allows.
        instances: Instances at a time; None as above.
        calls_per_second: Calls; more come in for a moment, half a second's worth at most. None for
            any number.

    Raises:
        InvalidSetting: A value is out of range.
    """

    memory: int | str | None = None
    instances: int | None = None
    calls_per_second: int | None = None

    def __post_init__(self) -> None:
        """Check every ceiling."""
        if self.memory is not None:
            try:
                size = parse_bytes(self.memory, name="memory")
            except ValueError as error:
                raise InvalidSetting(str(error)) from error
            object.__setattr__(self, "memory", size)
        for name in ("instances", "calls_per_second"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= 10**9):
                raise InvalidSetting(f"{name} must be 1 to 1000000000, got {value!r}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostCeilings(Ceilings):
    """What all deployments of a host may use together, and each namespace.

    Attributes:
        memory: As in `Ceilings`; by default half of the memory that the machine, or the control
            group of this process, has.
        instances: As in `Ceilings`.
        calls_per_second: As in `Ceilings`.
        namespaces: The ceilings of tenants, by the first segment of the names of their deployments.
    """

    namespaces: Mapping[str, Ceilings] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every ceiling, and find the default of `memory`."""
        if self.memory is None:
            object.__setattr__(self, "memory", half_of_the_memory())
        Ceilings.__post_init__(self)


def half_of_the_memory() -> int:
    """Return half of the bytes of memory that this process can have."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (Path("/sys/fs/cgroup") / name).read_text("ascii")
        except OSError:
            continue
        if text.strip().isdigit():  # "max" where there is no bound
            sizes.append(int(text))
    return min(sizes) // 2
