"""The first component of a user who has nothing yet, in each language."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.new import languages_of
from benchmarks.authoring.home import AFTER, BEFORE, airssys, edit, fresh
from benchmarks.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a language needs before anything else; what has none here is fetched on first use.
_NEEDS: Final = {"rust": "cargo", "javascript": "npm", "typescript": "npm"}


def rows() -> Iterator[Row]:
    """Measure each language once: what is fetched the first time is fetched once."""
    for language in languages_of("function"):
        if shutil.which(_NEEDS.get(language, "true")) is None:
            continue
        first, again = _measured(language)
        yield Row(
            key=f"authoring/first-{language}",
            what=f"{language}: new, build, test, deploy, call in an empty home",
            measured=first,
            unit="s",
            budget=300,
            note="with what it fetches from the registries",
        )
        yield Row(
            key=f"authoring/again-{language}",
            what=f"{language}: build and test after an edit",
            measured=again,
            unit="s",
            budget=10,
        )


def _measured(language: str) -> tuple[float, float]:
    """Return seconds to the first answer, and to tested again after an edit."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = fresh(home)
        project = home / "hello"
        began = time.perf_counter()
        airssys(environment, home, "new", "hello", "--lang", language)
        for command in ("build", "test", "deploy"):
            airssys(environment, project, command)
        _check(airssys(environment, project, "call", "local/hello", 'greet("Ada")'), BEFORE)
        first = time.perf_counter() - began
        edit(project)
        began = time.perf_counter()
        for command in ("build", "test"):
            airssys(environment, project, command)
        again = time.perf_counter() - began
        airssys(environment, project, "deploy")
        _check(airssys(environment, project, "call", "local/hello", 'greet("Ada")'), AFTER)
    return first, again


def _check(answer: str, greeting: str) -> None:
    if greeting not in answer:
        raise RuntimeError(f"it answered {answer!r}, not {greeting!r}")
