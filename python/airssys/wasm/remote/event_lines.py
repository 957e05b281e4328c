"""Server-sent events as a client reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airssys.wasm.host_events import HostEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["events_of"]


def events_of(lines: Iterable[str]) -> Iterator[HostEvent | int]:
    """Yield the events in lines; a number is how many are missing before the next."""
    kind, data = "", ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line and kind:
            if kind == "gap":
                yield int(msgspec.json.decode(data)["lost"])
            elif kind != "end":
                yield msgspec.json.decode(data, type=HostEvent)
            kind, data = "", ""
