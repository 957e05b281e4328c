"""Where the built guests are."""

from __future__ import annotations

from pathlib import Path

from benchmarks.row import UnavailableError

BUILT = Path(__file__).parent.parent.parent / "build" / "components"


def guest(name: str) -> Path:
    """Return the path of a built guest."""
    path = BUILT / f"{name}.wasm"
    if not path.exists():
        raise UnavailableError(f"{path.name} is not built; run `make guests`")
    return path
