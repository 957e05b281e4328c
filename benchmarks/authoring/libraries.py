"""Guest libraries under many calls: `python -m benchmarks.authoring.libraries [LANGUAGE...]`.

The conformance guest of each answers 10,000 messages with texts of 0 bytes to 1 MiB, always with
the same text, in one instance; its memory must not grow by more than 1 MiB after the first 1,000.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring import ToolchainMissing, build, new_project
from airssys.authoring.new import LANGUAGES
from airssys.testing.components import component_under_test

if TYPE_CHECKING:
    from airssys.testing.components import ComponentUnderTest
    from airssys.wasm.actors.live import LiveActor

_GUESTS: Final = Path(__file__).parents[2] / "tests" / "integration" / "authoring" / "conformance"
_SOURCES: Final = {"python": "app.py", "rust": "lib.rs", "javascript": "app.js", "c": "app.c"}
_CALLS: Final = 10_000
_WARM: Final = 1_000
_MOST_GROWTH: Final = 1 << 20
#: A message takes 1 MiB, with what stands around the text.
_LARGEST: Final = (1 << 20) - 64


def main() -> None:
    """Run the languages that are named, or all of them."""
    failed = False
    for language in sys.argv[1:] or _SOURCES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                failed |= not _holds(language, _built(language, Path(folder)))
            except ToolchainMissing as error:
                print(f"{language}: left out: {error}")
    sys.exit(failed)


def _built(language: str, into: Path) -> Path:
    project = new_project("greeter", language=language, template="service", into=into)
    (project / LANGUAGES[language]).write_bytes((_GUESTS / _SOURCES[language]).read_bytes())
    manifest = project / "Component.toml"
    asked = 'messaging = [{ subscribe = "conformance.told.*" }]'
    manifest.write_text(f"{manifest.read_text('utf-8')}\n[capabilities]\n{asked}\n", "utf-8")
    if language == "rust":
        crate = project / "Cargo.toml"
        crate.write_text(
            crate.read_text("utf-8").replace("[profile", 'serde_json = "1"\n\n[profile', 1), "utf-8"
        )
    return build(project).component


def _holds(language: str, component: Path) -> bool:
    """Call, check each answer, print what it took; false where memory grew."""
    drawn = random.Random(_CALLS)
    letters = "".join(drawn.choices('abcdefghijklmnopqrstuvwxyz é日"\\\n', k=_LARGEST))
    before, began, carried = 0, time.perf_counter(), 0
    with component_under_test(component) as subject:
        for number in range(1, _CALLS + 1):
            text = letters[: _size(drawn, number)]
            if subject.ask({"echo": text}) != text:
                raise SystemExit(
                    f"{language}: call {number} of {len(text)} characters came back other"
                )
            carried += len(text)
            if number == _WARM:
                before = _look(subject).memory
        after = _look(subject)
    seconds = time.perf_counter() - began
    growth = after.memory - before
    holds = growth <= _MOST_GROWTH and after.restarts == 0
    print(
        f"{language}: {_CALLS} calls, {carried >> 20} Mi characters, {seconds:.1f} s; memory "
        f"{before >> 10} KiB after {_WARM} calls, {growth >> 10} KiB more after {_CALLS}, "
        f"{after.restarts} restarts: {'holds' if holds else 'FAILS'}"
    )
    return holds


def _look(subject: ComponentUnderTest) -> LiveActor:
    (actor,) = subject.host.actors(subject.deployment.name)
    return actor


def _size(drawn: random.Random, number: int) -> int:
    """Return characters: none, the most, and all between; each magnitude as often as the others."""
    if number % 1000 < 2:
        return (0, _LARGEST // 4)[number % 1000]
    return int(2 ** drawn.uniform(0, 18)) - 1


if __name__ == "__main__":
    main()
