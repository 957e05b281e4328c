"""The one door from `airssys.wasm` to the native module, and its life with the interpreter."""

from __future__ import annotations

import os
import sys
import threading

from airssys import _core
from airssys._core import (
    Awaitable,
    Callers,
    Function,
    Gate,
    Instance,
    KillWatch,
    Resource,
    ShortTurns,
    Subject,
    build_info,
    capacity,
    normal_result,
    parse_call,
    print_result,
)

__all__ = [
    "Awaitable",
    "Callers",
    "Function",
    "Gate",
    "Instance",
    "KillWatch",
    "Resource",
    "ShortTurns",
    "Subject",
    "_core",
    "build_info",
    "capacity",
    "normal_result",
    "parse_call",
    "print_result",
]

_COMPILE_CHILD = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("airssys._core", sys.argv[1])
spec = importlib.util.spec_from_loader("airssys._core", loader)
module = importlib.util.module_from_spec(spec)
loader.exec_module(module)
sys.exit(module._compile_child(sys.argv[2]))
"""

# Large components are compiled by a bare interpreter that loads nothing but the native module.
_core._set_compile_worker(
    sys.executable, ["-I", "-S", "-c", _COMPILE_CHILD, os.path.realpath(_core.__file__)]
)
os.register_at_fork(after_in_child=_core._after_fork)
# Before the interpreter joins its threads: guests must stop first, or one in a call never ends.
threading._register_atexit(_core._shut_down)  # type: ignore[attr-defined]
