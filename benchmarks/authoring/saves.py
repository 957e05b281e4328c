"""From a saved file to the new revision, by `airssys dev`."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.authoring.home import AIRSSYS, airssys
from benchmarks.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROUNDS: Final = 7
#: By the ending of the file.
_SCRIPTS: Final = {
    ".py": 'def answer(text: str) -> str:\n    return f"{text} NUMBER"\n',
    ".js": "export function answer(text) { return `${text} NUMBER`; }\n",
}
_NAMES: Final = {".py": "Python", ".js": "JavaScript"}


def rows() -> Iterator[Row]:
    """Measure scripts, and a project in Rust where cargo is installed."""
    for ending, name in _NAMES.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds = _script(Path(folder), ending)
        yield Row(
            key=f"authoring/saved-{name.lower()}",
            what=f"`airssys dev`: script of {name}, from saved to live",
            measured=seconds,
            unit="s",
            budget=0.5,
        )
    if shutil.which("cargo") is not None:
        with tempfile.TemporaryDirectory() as folder:
            seconds = _project(Path(folder))
        yield Row(
            key="authoring/saved-rust",
            what="`airssys dev`: project in Rust, from saved to built, tested and live",
            measured=seconds,
            unit="s",
            budget=3,
        )


def _script(folder: Path, ending: str) -> float:
    file = folder / f"handler{ending}"

    def save(number: int) -> None:
        file.write_text(_SCRIPTS[ending].replace("NUMBER", str(number)), "utf-8")

    save(1)
    with _dev(folder, str(file), "--name", "bench/saved") as says:
        return _saved(says, save)


def _project(folder: Path) -> float:
    airssys(_environment(folder), folder, "new", "saved", "--lang", "rust")
    source = folder / "saved" / "src" / "lib.rs"
    text = source.read_text("utf-8")

    def save(number: int) -> None:
        source.write_text(text.replace("greeting", f"{number} greeting"), "utf-8")

    with _dev(folder / "saved") as says:
        return _saved(says, save)


def _saved(says: Callable[[str], None], save: Callable[[int], None]) -> float:
    """Return the median of seconds from a save to the revision that it becomes."""
    says("is at revision 1")
    taken = []
    for number in range(2, 2 + _ROUNDS):
        began = time.perf_counter()
        save(number)
        says(f"is at revision {number}")
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "AIRSSYS_STATE": str(folder / "state")}


@contextmanager
def _dev(folder: Path, *arguments: str) -> Iterator[Callable[[str], None]]:
    """Run `airssys dev`, and give what waits until it says something."""
    process = subprocess.Popen(
        [*AIRSSYS, "dev", *arguments],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = process.stdout

    def says(text: str) -> None:
        seen = []
        for line in lines:
            seen.append(line)
            if text in line:
                return
        raise RuntimeError(f"`airssys dev` ended without {text!r}; it said:\n{''.join(seen)}")

    try:
        yield says
    finally:
        process.kill()
        process.wait()
        lines.close()
