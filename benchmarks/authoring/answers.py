"""From new source to its first answer: a script that is deployed, and a process that is started."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring import ToolchainMissing, script
from airssys.wasm import Host
from benchmarks.row import Row
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm import BlockingHost

#: By the ending of the file. The number makes each source a new one.
_SOURCES: Final = {
    ".py": 'def answer(text: str) -> str:\n    return f"{text} NUMBER"\n',
    ".js": "export function answer(text) { return `${text} NUMBER`; }\n",
}
_NAMES: Final = {".py": "Python", ".js": "JavaScript"}
_PEER: Final = "python -I"


def rows(seconds: float) -> Iterator[Row]:
    """Measure both languages, each for about `seconds`; one whose tools are missing is left out."""
    with tempfile.TemporaryDirectory() as folder, Host.open_blocking(Path(folder, "state")) as host:
        for ending, name in _NAMES.items():
            try:
                ours, peer = _measured(host, Path(folder, f"handler{ending}"), seconds)
            except ToolchainMissing:
                continue
            yield Row(
                key=f"authoring/script-{name.lower()}",
                what=f"new script of {name} to its first answer, deployed durably",
                measured=ours,
                unit="s",
                budget=0.01,
                peer=_PEER,
                peer_measured=peer,
                ratio_budget=1.0,
                note="the loader is warm; the peer is a process on a script of Python",
            )


def _measured(host: BlockingHost, file: Path, seconds: float) -> list[float]:
    number = 0

    def ours(turns: int) -> None:
        nonlocal number
        for _ in range(turns):
            number += 1
            file.write_text(_SOURCES[file.suffix].replace("NUMBER", str(number)), "utf-8")
            deployed = host.deploy(script(file), name=f"bench/answers-{file.suffix[1:]}")
            _check(deployed.call("answer", "take"), number)

    def peer(turns: int) -> None:
        nonlocal number
        for _ in range(turns):
            number += 1
            source = _SOURCES[".py"].replace("NUMBER", str(number)) + "print(answer('take'))\n"
            command = [sys.executable, "-I", "-c", source]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            _check(done.stdout.strip(), number)

    return interleaved(ours, peer, seconds=seconds)


def _check(answer: object, number: int) -> None:
    if answer != f"take {number}":
        raise RuntimeError(f"revision {number} answered {answer!r}")
