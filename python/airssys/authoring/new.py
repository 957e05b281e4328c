"""New projects from templates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.contract import complete
from airssys.authoring.errors import NotWritten
from airssys.authoring.places import scratch
from airssys.wasm.deployment_name import check_deployment_name

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LANGUAGES", "languages_of", "new_project", "templates"]

_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_SUFFIX: Final = ".in"
#: The namespace of a component whose name has none.
_NAMESPACE: Final = "local"

#: The source that a language begins in, by language.
LANGUAGES: Final = {
    "python": "app.py",
    "rust": "src/lib.rs",
    "javascript": "app.js",
    "typescript": "app.ts",
    "c": "app.c",
}


def templates() -> tuple[str, ...]:
    """Return the names of the templates."""
    return tuple(sorted(folder.name for folder in _TEMPLATES.iterdir() if folder.is_dir()))


def languages_of(template: str) -> tuple[str, ...]:
    """Return the languages that a template is written in."""
    return tuple(name for name in LANGUAGES if (_TEMPLATES / template / name).is_dir())


def new_project(
    name: str, *, language: str, template: str = "function", into: Path | None = None
) -> Path:
    """Write a project that builds and passes its tests, and return its folder.

    Args:
        name: The component's name: `hello`, or `acme/hello` with its namespace.
        language: What it is written in.
        template: What kind of component.
        into: The folder that the project's folder goes into; the working directory by default.

    Raises:
        InvalidDeploymentName: The name breaks the rules for names.
        NotWritten: There is no such template or language, or something stands in its place.
    """
    full = name if "/" in name else f"{_NAMESPACE}/{name}"
    check_deployment_name(full)
    if template not in templates():
        raise NotWritten(f"no template {template!r}", hint=_among(templates()))
    if language not in languages_of(template):
        raise NotWritten(
            f"no template {template!r} in {language!r}", hint=_among(languages_of(template))
        )
    into = (into or Path.cwd()).absolute()
    folder = into / full.rpartition("/")[2]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotWritten(f"{folder} exists", hint="choose another name, or remove it")
    values = _values(full, language)
    with scratch(into) as making:
        made = making / folder.name
        for part in ("common", language):
            _copy(_TEMPLATES / template / part, made, values)
        complete(made / "wit")
        if folder.exists():
            folder.rmdir()
        made.replace(folder)
    return folder


def _values(name: str, language: str) -> dict[str, str]:
    last = name.rpartition("/")[2]
    return {
        "name": name,
        "crate": last,
        "world": last,
        "namespace": name.partition("/")[0],
        "package": f"{name.partition('/')[0]}:{last}",
        "Type": "".join(part.capitalize() for part in last.split("-")),
        "language": language,
        "Language": {"javascript": "JavaScript", "typescript": "TypeScript"}.get(
            language, language.capitalize()
        ),
        "source": LANGUAGES[language],
    }


def _copy(source: Path, target: Path, values: dict[str, str]) -> None:
    if not source.is_dir():
        return
    for file in sorted(source.rglob(f"*{_SUFFIX}")):
        text = re.sub(
            r"@(\w+)@",
            lambda found: values.get(found[1], found[0]),
            file.read_text("utf-8"),
        )
        place = target / file.relative_to(source).with_name(file.name.removesuffix(_SUFFIX))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")


def _among(names: Sequence[str]) -> str:
    return f"there is {', '.join(names)}"
