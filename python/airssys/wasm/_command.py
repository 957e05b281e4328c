"""Running a component as a command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airssys.wasm.component import RunResult
from airssys.wasm.errors import GuestExit, UnknownExport
from airssys.wasm.values import GuestError

if TYPE_CHECKING:
    from airssys.wasm.component import Component
    from airssys.wasm.limits import Limits
    from airssys.wasm.wasi import Wasi

__all__ = ["run"]


def run(component: Component, wasi: Wasi, limits: Limits) -> RunResult:
    """Run `component` to its end; see `Component.run`."""
    entries = [path for path in component.exports if path.startswith("wasi:cli/run@")]
    if not entries:
        raise UnknownExport(
            "the component is not a command: it does not export wasi:cli/run; "
            f"it exports {', '.join(component.exports) or 'nothing'} (call those instead)",
            name="wasi:cli/run",
            near=[],
        )
    # One built for WASI 0.3 by a toolchain of 0.2 exports both, and the older one is a stub.
    newest = max(entries, key=lambda path: [int(number) for number in re.findall(r"\d+", path)])
    instance = component.instantiate(limits=limits, wasi=wasi)
    try:
        instance[newest]()
        status = 0
    except GuestError:
        status = 1
    except GuestExit as ended:
        status = ended.status
    return RunResult(status, wasi.stdout, wasi.stderr)
