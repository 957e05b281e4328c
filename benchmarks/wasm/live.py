"""Hold many instances alive and print what each costs.

Usage: `python -m benchmarks.wasm.live (airssys | wasmtime-py) (rust | python) COUNT`.

A process of its own, so that nothing else counts: proportional set size and page
tables, before and after.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.wasm.guests import guest

GUESTS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "rust": ("calculator", "add", (2, 3)),
    "python": ("greeter-python", "greet", ("Ann",)),
}


def resident() -> int:
    """Return what this process takes: its proportional set and its page tables, in bytes."""
    files = (("Pss", "smaps_rollup"), ("VmPTE", "status"))
    total = 0
    for name, file in files:
        text = Path("/proc/self", file).read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        total += int(found[1]) * 1024
    return total


def main(host: str, language: str, count: int) -> None:
    """Make the instances, call each once, and print bytes per instance and how many live."""
    name, function, arguments = GUESTS[language]
    failure = ""
    component: Any
    if host == "airssys":
        from airssys.errors import AirsSysError as Refused  # noqa: PLC0415 - measured alone
        from airssys.wasm import Engine  # noqa: PLC0415

        component = Engine().load(guest(name))
    else:
        from wasmtime import WasmtimeError as Refused  # noqa: PLC0415

        from benchmarks.wasm.peer import Peer  # noqa: PLC0415

        component = Peer(guest(name))
    first = component.instantiate()
    first[function](*arguments)
    before = resident()
    held = []
    try:
        for _ in range(count):
            instance = component.instantiate()
            instance[function](*arguments)
            held.append(instance)
    except Refused as refused:
        failure = str(refused)
    each = (resident() - before) / max(1, len(held))
    print(json.dumps({"live": len(held), "bytes": each, "failure": failure}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
