"""Hold many instances alive and print what each costs.

Usage: `python -m benchmarks.wasm.live (airssys | wasmtime-py) (rust | python) COUNT`.

A process of its own, so that nothing else counts.
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


def taken() -> tuple[int, int]:
    """Return the proportional set size of this process and its page tables, in bytes."""
    files = (("Pss", "smaps_rollup"), ("VmPTE", "status"))
    found = []
    for name, file in files:
        text = Path("/proc/self", file).read_text()
        figure = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert figure is not None
        found.append(int(figure[1]) * 1024)
    return found[0], found[1]


def main(host: str, language: str, count: int) -> None:
    """Make the instances, call each once, and print what each takes and how many live."""
    name, function, arguments = GUESTS[language]
    failure = ""
    component: Any
    refusal: type[Exception]
    if host == "airssys":
        from airssys.errors import AirsSysError  # noqa: PLC0415 - measured alone
        from airssys.wasm import Engine  # noqa: PLC0415

        component, refusal = Engine().load(guest(name)), AirsSysError
    else:
        from wasmtime import WasmtimeError  # noqa: PLC0415

        from benchmarks.wasm.peer import Peer  # noqa: PLC0415

        component, refusal = Peer(guest(name)), WasmtimeError
    first = component.instantiate()
    first[function](*arguments)
    set_before, tables_before = taken()
    held = []
    try:
        for _ in range(count):
            instance = component.instantiate()
            instance[function](*arguments)
            held.append(instance)
    except refusal as refused:
        failure = str(refused)
    set_after, tables_after = taken()
    count = max(1, len(held))
    each = {
        "set": (set_after - set_before) / count,
        "tables": (tables_after - tables_before) / count,
    }
    print(json.dumps({"live": len(held), "failure": failure} | each))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
