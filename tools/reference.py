"""Write the references of `airssys.rt` and `airssys.wasm` from their docstrings.

python tools/reference.py
"""

from __future__ import annotations

import enum
import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Page:
    """One reference.

    Attributes:
        module: Whose public names it lists.
        head: What stands before them.
        sections: Headings and the modules whose names they gather, in order; the rest follows under
            `Other`.
    """

    module: str
    head: str
    sections: dict[str, tuple[str, ...]]

    @property
    def target(self) -> Path:
        """Where it is written."""
        return ROOT / f"docs/reference/{self.module.rpartition('.')[2]}.md"


RT = Page(
    "airssys.rt",
    """# Reference: `airssys.rt`

Written from the docstrings by `tools/reference.py`. How it all behaves together is said by the
[contract](../concepts/runtime-semantics.md). Everything is imported from `airssys.rt`.
""",
    {
        "Actors and messages": ("actor", "messages", "reply", "_timers"),
        "References": ("ref", "monitors", "pools"),
        "The system": ("system", "registry", "groups", "_options", "_mailbox"),
        "Supervision": ("supervision", "health", "breaker"),
        "Observing": ("events", "dead_letters", "books", "middleware", "watchdog"),
        "Help": ("offload", "garbage"),
        "Errors": ("errors",),
    },
)
WASM = Page(
    "airssys.wasm",
    """# Reference: `airssys.wasm`

Written from the docstrings by `tools/reference.py`. Everything is imported from `airssys.wasm`. How
it behaves together is said by the [concepts](../README.md#concepts).
""",
    {
        "Components": ("engine", "component", "limits", "wasi", "values", "streams"),
        "Hosts": ("host", "host_blocking"),
        "Deployments": (
            *("deployment", "deployment_blocking", "deployment_changes", "revision", "accounting"),
            *("security.grant", "security.host_functions"),
        ),
        "Live delivery": (
            *("delivery.strategies", "delivery.judging", "delivery.rollout"),
            *("delivery.records", "delivery.analysis", "delivery.errors"),
        ),
        "HTTP": ("ingress", "ingress_records"),
        "Quotas": ("quotas.ceilings", "quotas.usage", "quotas.reports", "quotas.ledger"),
        "Storage": (
            *("storage", "storage_blocking", "storage_holder", "storage_records"),
            "storage_errors",
        ),
        "Errors": ("errors", "host_errors", "security.errors"),
    },
)
PAGES = (RT, WASM)


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
    if isinstance(value, enum.Enum):
        return Verbatim(str(value))
    if inspect.isroutine(value):
        return Verbatim(value.__name__)
    if isinstance(value, PurePath):
        return Verbatim("...")  # a place of whoever runs this
    # An object that the project made: what it consists of stands at its own class.
    own = type(value).__module__.startswith("airssys.")
    return Verbatim(f"{type(value).__name__}()") if own else value


def signature(value: Any) -> str:
    """The parameters as written in the source, without `self`."""
    try:
        shown = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [
        one.replace(
            annotation=verbatim(one.annotation),
            default=one.default if isinstance(one.default, str) else verbatim(one.default),
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


def members(owner: type, module: Any) -> list[tuple[str, str]]:
    """Public methods and properties of a class, with heading and text.

    Those that it has from a base are its own where the base has no entry in the page and is in no
    private module.
    """
    bases = [each for each in owner.__mro__[1:] if each.__module__.startswith("airssys.")]
    hidden = [
        each
        for each in bases
        if each.__name__ not in module.__all__ and "._" not in each.__module__
    ]
    found: list[tuple[str, str]] = []
    merged: dict[str, Any] = {}
    for each in (owner, *hidden):
        merged |= {name: value for name, value in vars(each).items() if name not in merged}
    for name, value in merged.items():
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
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return f"### `{name}`\n\n`{value!r}`\n"
    own = inspect.isroutine(value) or "__init__" in vars(value)
    shown = signature(value) if own and not issubclass_of(value, BaseException) else ""
    text = described(value)
    parts = [f"### `{name}{shown}`", fenced(text)]
    if inspect.isclass(value):
        parts += [f"#### `{heading}`\n\n{fenced(body)}" for heading, body in members(value, module)]
    return "\n\n".join(parts) + "\n"


def issubclass_of(value: Any, base: type) -> bool:
    """Whether `value` is a class below `base`."""
    return inspect.isclass(value) and issubclass(value, base)


def render(page: Page) -> str:
    """The whole document."""
    module = importlib.import_module(page.module)
    left = list(module.__all__)
    parts = [page.head]

    def section(title: str, names: list[str]) -> None:
        if names:
            parts.append(f"## {title}\n")
            parts.extend(entry(module, name) for name in names)

    for title, homes in page.sections.items():
        places = [f"{page.module}.{home}" for home in homes]
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
    for each in PAGES:
        each.target.write_text(render(each))
