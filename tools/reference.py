"""Write `docs/reference/rt.md` from the docstrings of `airssys.rt` and `airssys.testing`.

python tools/reference.py
"""

from __future__ import annotations

import enum
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/reference/rt.md"
HEAD = """# Reference: `airssys.rt`

Written from the docstrings by `tools/reference.py`. How it all behaves together is said by the
[contract](../concepts/runtime-semantics.md). Everything is imported from `airssys.rt`.
"""
#: Headings and the modules whose names they gather, in order; the rest follows under `Other`.
SECTIONS = {
    "Actors and messages": ("actor", "messages", "reply", "_timers"),
    "References": ("ref", "monitors", "pools"),
    "The system": ("system", "registry", "groups", "_options", "_mailbox"),
    "Supervision": ("supervision", "health", "breaker"),
    "Observing": ("events", "dead_letters", "books", "middleware", "watchdog"),
    "Help": ("offload", "garbage"),
    "Errors": ("errors",),
}


class Verbatim:
    """Shows itself without quotes, as annotations and enumeration members stand in the source."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def verbatim(value: Any) -> Any:
    """What `inspect` would show otherwise than the source does."""
    if isinstance(value, str):
        return Verbatim(value)
    return Verbatim(str(value)) if isinstance(value, enum.Enum) else value


def signature(value: Any) -> str:
    """The parameters as written in the source, without `self`."""
    try:
        shown = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [
        one.replace(
            annotation=verbatim(one.annotation),
            default=verbatim(one.default) if isinstance(one.default, enum.Enum) else one.default,
        )
        for one in shown.parameters.values()
        if one.name not in {"self", "cls"}
    ]
    returned = verbatim(shown.return_annotation)
    if returned is None:
        returned = Verbatim("None")
    return str(shown.replace(parameters=parameters, return_annotation=returned))


def described(value: Any) -> str:
    """The docstring; code that it shows indented stays so."""
    return (inspect.getdoc(value) or "").strip()


def fenced(text: str) -> str:
    """A docstring as Markdown: its sections (`Args:` and so on) become lists."""
    lines: list[str] = []
    in_section = False
    for line in text.splitlines():
        bare = line.strip()
        if bare in {"Args:", "Attributes:", "Raises:", "Returns:"} and line == bare:
            in_section = True
            lines += [f"*{bare[:-1]}*", ""]
        elif in_section and line.startswith("    ") and not line.startswith("     "):
            name, colon, rest = bare.partition(": ")
            lines.append(f"- `{name}`: {rest}" if colon and " " not in name else f"- {bare}")
        elif in_section and line.startswith("     "):
            lines.append(f"  {bare}")
        else:
            in_section = in_section and not bare
            lines.append(line)
    return "\n".join(lines)


def members(owner: type) -> list[tuple[str, str]]:
    """Public methods and properties that a class defines itself, with heading and text."""
    found: list[tuple[str, str]] = []
    for name, value in vars(owner).items():
        raw = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if name.startswith("_"):
            continue
        if isinstance(raw, property) and described(raw):
            found.append((name, described(raw)))
        elif inspect.isfunction(raw) and described(raw):
            prefix = "async " if inspect.iscoroutinefunction(raw) else ""
            found.append((f"{prefix}{name}{signature(raw)}", described(raw)))
    return found


def entry(module: Any, name: str) -> str:
    """One public name."""
    value = getattr(module, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return f"### `{name}`\n\n`{value!r}`\n"
    own = inspect.isfunction(value) or "__init__" in vars(value)
    shown = signature(value) if own and not issubclass_of(value, BaseException) else ""
    text = described(value)
    parts = [f"### `{name}{shown}`", fenced(text)]
    if inspect.isclass(value):
        parts += [f"#### `{heading}`\n\n{fenced(body)}" for heading, body in members(value)]
    return "\n\n".join(parts) + "\n"


def issubclass_of(value: Any, base: type) -> bool:
    """Whether `value` is a class below `base`."""
    return inspect.isclass(value) and issubclass(value, base)


def render() -> str:
    """The whole document."""
    module = importlib.import_module("airssys.rt")
    left = list(module.__all__)
    parts = [HEAD]

    def section(title: str, names: list[str]) -> None:
        if names:
            parts.append(f"## {title}\n")
            parts.extend(entry(module, name) for name in names)

    for title, homes in SECTIONS.items():
        places = [f"airssys.rt.{home}" for home in homes]
        names = [
            name for name in left if getattr(getattr(module, name), "__module__", "") in places
        ]
        names.sort(key=lambda name: places.index(getattr(module, name).__module__))
        left = [name for name in left if name not in names]
        section(title, names)
    section("Other", left)
    return "\n".join(parts)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "python"))
    TARGET.write_text(render())
