"""Name the machine and the builds that the figures belong to."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Describe processor, memory, kernel, Python and the native module."""
    described = {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    try:
        from airssys.wasm import build_info  # noqa: PLC0415 - pure Python suites need no native module
    except ImportError:
        return described
    info = build_info()
    described["build"] = ", ".join(f"{key} {value}" for key, value in sorted(info.items()))
    return described


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the generic name below
    return platform.processor() or platform.machine()
