"""What `airssys doctor` looks at, one function for each thing."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from airssys.cli.output import size_text
from airssys.wasm._native import build_info, capacity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Check", "environment_checks", "toolchain_checks"]

#: Enough for the largest pool, with room for what else a program maps.
_MAPPINGS_FOR_MOST = 250_000
_MAPPINGS_SETTING = "vm.max_map_count=262144"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """What was found about one thing, and what to do about it.

    Attributes:
        name: What was looked at.
        status: `ok`; `warning`, something is limited or missing that not everybody needs;
            `failure`.
        found: What was found.
        remedy: What to do, or an empty string.
    """

    name: str
    status: Literal["ok", "warning", "failure"]
    found: str
    remedy: str = ""


def environment_checks() -> Iterator[Check]:
    """Look at the interpreter, the kernel and the limits of this process."""
    checks: tuple[Callable[[], Check], ...] = (
        _python,
        _engine,
        _kernel,
        _landlock,
        _openat2,
        _overcommit,
        _address_space,
        _instances,
        _open_files,
    )
    return (check() for check in checks)


def toolchain_checks() -> Iterator[Check]:
    """Look for the tools that build components and AirsSys itself; running either needs none."""
    build = "needed only to build"
    yield _tool("rustc", ["--version"], f"install rustup; {build} from source, and Rust components")
    yield _wasm_target()
    yield _tool("cc", ["--version"], f"install a C compiler; {build} from source")
    yield _tool(
        "componentize-py", ["--version"], "pip install componentize-py; builds Python components"
    )


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    return Check("python", "ok", f"{found}, {platform.machine()}")


def _kernel() -> Check:
    if platform.system() != "Linux":
        return Check(
            "kernel",
            "warning",
            f"{platform.system()} {platform.release()}",
            "Linux enforces most; the table of platforms in the documentation says what is missing",
        )
    return Check("kernel", "ok", f"Linux {platform.release()}")


def _landlock() -> Check:
    # landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) answers the version of the
    # ABI.
    version = _system_call(444, 0, 0, 1)
    if version < 1:
        return Check(
            "landlock",
            "warning",
            "the kernel does not offer it",
            "child processes are confined less; enable it (lsm=landlock,... on the kernel line)",
        )
    return Check("landlock", "ok", f"ABI {version}")


def _openat2() -> Check:
    if platform.system() == "Linux" and _kernel_release() < (5, 6):
        return Check(
            "openat2",
            "warning",
            f"Linux {platform.release()} lacks it",
            "files of guests are resolved segment by segment, slower; use Linux 5.6 or newer",
        )
    return Check("openat2", "ok", "files of guests are resolved by the kernel")


def _overcommit() -> Check:
    mode = _read_number("/proc/sys/vm/overcommit_memory")
    if mode == 2:
        return Check(
            "overcommit",
            "warning",
            "vm.overcommit_memory = 2 counts reserved addresses as used memory",
            "sysctl vm.overcommit_memory=0, or guests are allocated on demand",
        )
    return Check("overcommit", "ok", "reserved addresses cost no memory")


def _address_space() -> Check:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        return Check(
            "address space",
            "warning",
            f"limited to {size_text(limit)}",
            "ulimit -v unlimited; until then guests are allocated on demand, not from a pool",
        )
    return Check("address space", "ok", "not limited")


def _instances() -> Check:
    mappings, instances = capacity()
    found = f"{instances:,} instances at once, vm.max_map_count = {mappings}"
    if instances == 0:
        return Check(
            "instances",
            "warning",
            f"no pool: the addresses for one cannot be reserved, vm.max_map_count = {mappings}",
            "ulimit -v unlimited and sysctl vm.overcommit_memory=0; until then guests are slower",
        )
    remedy = "" if mappings >= _MAPPINGS_FOR_MOST else f"more: sysctl {_MAPPINGS_SETTING}"
    return Check("instances", "ok", found, remedy)


def _engine() -> Check:
    built = build_info()
    return Check(
        "engine",
        "ok",
        f"wasmtime {built['wasmtime']} (long-term support), {built['target']}",
        "security releases of this line are followed; SECURITY.md tells how",
    )


def _open_files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024:
        return Check("open files", "warning", f"at most {soft}", f"ulimit -n {max(hard, 1024)}")
    return Check("open files", "ok", f"at most {soft}")


def _wasm_target() -> Check:
    rustup = shutil.which("rustup")
    remedy = "rustup target add wasm32-wasip2; needed only to build Rust components"
    if rustup is None:
        return Check("wasm32-wasip2", "warning", "no rustup on PATH", remedy)
    output = _output([rustup, "target", "list", "--installed"])
    if "wasm32-wasip2" not in output.split():
        return Check("wasm32-wasip2", "warning", "not installed", remedy)
    return Check("wasm32-wasip2", "ok", "installed")


def _tool(name: str, arguments: list[str], remedy: str) -> Check:
    # Tools of the environment we run in count even where its `bin` is not on PATH.
    beside = str(Path(sys.executable).parent)
    path = shutil.which(name) or shutil.which(name, path=beside)
    if path is None:
        return Check(name, "warning", "not on PATH", remedy)
    first = _output([path, *arguments]).strip().splitlines()
    return Check(name, "ok", first[0] if first else path)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout or done.stderr


def _system_call(number: int, *arguments: int) -> int:
    if platform.system() != "Linux":
        return -1
    library = ctypes.CDLL(None)
    result: int = library.syscall(
        ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments)
    )
    return result


def _kernel_release() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


def _read_number(path: str) -> int | None:
    try:
        return int(Path(path).read_text("ascii"))
    except (OSError, ValueError):
        return None
