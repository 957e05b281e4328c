"""The peer: `wasmtime serve` of the engine's own version; `make bench-peers` installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.wasm import build_info
from benchmarks.row import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airssys" / "peers"


def _program() -> str:
    version = build_info()["wasmtime"]
    cached = _CACHE / "bin" / "wasmtime"
    program = str(cached) if cached.is_file() else shutil.which("wasmtime")
    if program is None:
        raise UnavailableError(f"wasmtime {version} is not installed; make bench-peers")
    found = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if f" {version}" not in found.stdout:
        raise UnavailableError(f"{program} is not version {version}; make bench-peers")
    return program


@contextmanager
def wasmtime_serve(component: Path) -> Iterator[str]:
    """Serve a component; the address is where."""
    command = [_program(), "serve", "-Scli", "--addr=127.0.0.1:0", str(component)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        if "http://" not in line:
            raise RuntimeError(f"wasmtime serve did not begin: {line}{process.stderr.read()}")
        yield line.split("http://")[1].split("/")[0].strip()
    finally:
        process.kill()
        process.wait()
