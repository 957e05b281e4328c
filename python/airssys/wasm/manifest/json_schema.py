"""The JSON Schemas of the two files, for editors."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from airssys.wasm.manifest import component_manifest, host_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["json_schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# An attribute of a docstring: its names, and its text up to the next one.
_ATTRIBUTE: Final = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n      +.+)*)", re.MULTILINE)


def json_schema(
    kind: type[component_manifest.ComponentManifest | host_manifest.HostManifest],
) -> dict[str, Any]:
    """Return the JSON Schema of one of the two files; its descriptions are those of the classes."""
    # By way of JSON, so that defaults are what a reader of the schema sees.
    made = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(kind)))
    for name, definition in made["$defs"].items():
        shape = getattr(component_manifest, name, None) or getattr(host_manifest, name)
        text = inspect.cleandoc(shape.__doc__ or "")
        definition["description"] = text.partition("\n")[0]
        for base in reversed(shape.__mro__):
            for attribute, meaning in _attributes(inspect.cleandoc(base.__doc__ or "")):
                if attribute in definition["properties"]:
                    definition["properties"][attribute]["description"] = meaning
    return {"$schema": _DIALECT, **made}


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    _, _, listed = docstring.partition("\nAttributes:\n")
    for names, meaning in _ATTRIBUTE.findall(listed):
        for name in names.split(", "):
            yield name, " ".join(meaning.split())
