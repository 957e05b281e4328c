"""New projects from templates."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.contract import complete
from airssys.authoring.errors import NotOffered, NotWritten
from airssys.authoring.places import scratch
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.host_errors import InvalidDeploymentName

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
    return _languages(_TEMPLATES / template)


def new_project(
    name: str,
    *,
    language: str | None = None,
    template: str = "function",
    into: Path | None = None,
    folder_of_template: Path | None = None,
) -> Path:
    """Write a project that builds and passes its tests, and return its folder.

    Args:
        name: The component's name: `hello`, or `acme/hello` with its namespace.
        language: What it is written in; may be left out where there is one.
        template: What kind of component.
        into: The folder that the project's folder goes into; the working directory by default.
        folder_of_template: A template that is none of these, such as that of a kit.

    Raises:
        InvalidDeploymentName: The name breaks the rules for names.
        NotOffered: There is no such template or language.
        NotWritten: Something stands in its place.
    """
    full = _full_name(name)
    if folder_of_template is None:
        if template not in templates():
            raise _not_offered("template", template, templates())
        source, what = _TEMPLATES / template, f"template {template!r} in the language"
    else:
        source, what = folder_of_template, "kit in the language"
    languages = _languages(source)
    if language is None and len(languages) == 1:
        (language,) = languages
    if language not in languages:
        if language not in LANGUAGES:
            raise _not_offered("language", language or "", languages)
        raise _not_offered(what, language, languages)
    into = (into or Path.cwd()).absolute()
    folder = into / full.rpartition("/")[2]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotWritten(f"{folder} exists", hint="choose another name, or remove it")
    values = _values(full, language)
    with scratch(into) as making:
        made = making / folder.name
        for part in ("common", language):
            _copy(source / part, made, values)
        complete(made / "wit")
        if folder.exists():
            folder.rmdir()
        made.replace(folder)
    return folder


def _languages(source: Path) -> tuple[str, ...]:
    return tuple(name for name in LANGUAGES if (source / name).is_dir())


def _full_name(name: str) -> str:
    """Return a name with its namespace, or refuse it with one that would do."""
    full = name if "/" in name else f"{_NAMESPACE}/{name}"
    try:
        return check_deployment_name(full)
    except InvalidDeploymentName as error:
        near = "/".join(re.sub(r"[\W_]+", "-", part.lower()).strip("-") for part in name.split("/"))
        try:
            check_deployment_name(near if "/" in near else f"{_NAMESPACE}/{near}")
        except InvalidDeploymentName:
            hint = error.hint
        else:
            hint = f"did you mean {near}? {error.hint}"
        raise InvalidDeploymentName(
            f"{name!r} is no name of a component", hint=hint, name=name
        ) from None


def _not_offered(what: str, given: str, known: Sequence[str]) -> NotOffered:
    near = difflib.get_close_matches(given, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    summary = f"no {what} {given!r}" if given else f"no {what} was named"
    return NotOffered(summary, hint=f"{meant}there is {', '.join(known)}")


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
    """Copy files: as they are, or with the values put in where their names end in `.in`."""
    for file in sorted(source.rglob("*")):
        if not file.is_file():
            continue
        content = file.read_bytes()
        name = file.relative_to(source)
        if file.suffix == _SUFFIX:
            name = name.with_suffix("")
            content = re.sub(
                rb"@(\w+)@",
                lambda found: values.get(found[1].decode(), found[0].decode()).encode(),
                content,
            )
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
