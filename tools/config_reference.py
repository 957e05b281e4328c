"""Write `docs/reference/configuration.md` from the schemas of the two configuration files.

Usage: `python tools/config_reference.py [--check]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from written_pages import write_or_check

from airssys.wasm.manifest.component_manifest import ComponentManifest
from airssys.wasm.manifest.host_manifest import HostManifest
from airssys.wasm.manifest.json_schema import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "reference" / "configuration.md"
INTRODUCTION = """\
# Keys of the two files

Every key of `Component.toml`, which is the author's, and of `airssys.toml`, which is the
operator's. [Manifests](manifest.md) says what they are for and what wins over what;
[the schemas](schemas/component.json) are for editors. This page is written by
`tools/config_reference.py` from the classes that read the files.

A size is written as `"64MiB"`, a time as `"30s"`. A key without a default must be there where its
table is.
"""


def page() -> str:
    """Compose the page."""
    lines = [INTRODUCTION]
    for file, kind in (("Component.toml", ComponentManifest), ("airssys.toml", HostManifest)):
        schema = json_schema(kind)
        lines += [f"## `{file}`", ""]
        top = schema["$defs"][_name(schema)]
        for heading, definition in _tables(schema["$defs"], top, ""):
            if heading:
                lines += [f"### `{heading}`", "", definition["description"], ""]
            lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
            required = set(definition["required"])
            for key, value in definition["properties"].items():
                lines.append(_row(key, value, required=key in required))
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _tables(
    definitions: dict[str, Any], definition: dict[str, Any], path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every table below a definition, with what stands above it in a file."""
    yield (f"[{path}]" if path and not path.startswith("[") else path), definition
    for key, value in definition["properties"].items():
        own = f"{path}.{key}".lstrip(".")
        for each in value.get("anyOf", [value]):
            if "$ref" in each:
                yield from _tables(definitions, definitions[_name(each)], own)
            elif "$ref" in each.get("additionalProperties", {}):
                below = definitions[_name(each["additionalProperties"])]
                yield from _tables(definitions, below, f"{own}.NAME")
            elif "$ref" in each.get("items", {}):
                yield f"[[{own}]]", definitions[_name(each["items"])]


def _name(value: dict[str, Any]) -> str:
    return str(value["$ref"]).rpartition("/")[2]


def _row(key: str, value: dict[str, Any], *, required: bool) -> str:
    default = "required" if required else _default(value)
    meaning = value.get("description", "").replace("|", "\\|")
    return f"| `{key}` | {_kind(value)} | {default} | {meaning} |"


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    return "" if default in (None, "", [], {}) else f"`{json.dumps(default)}`"


def _kind(value: dict[str, Any]) -> str:
    """Say what a key takes."""
    if "anyOf" in value:
        kinds = [_kind(each) for each in value["anyOf"] if each != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value:
        return ", ".join(f"`{json.dumps(each)}`" for each in value["enum"])
    if "$ref" in value:
        return "a table"
    if "examples" in value:
        return f"as {', '.join(f'`{json.dumps(each)}`' for each in value['examples'])}"
    kind = str(value.get("type", "any value"))
    if kind == "array":
        kind = "tables" if "$ref" in value["items"] else f"a list of: {_kind(value['items'])}"
    elif kind == "object":
        kind = "a table by name"
    bounds = [f"at least {value['minimum']}"] if "minimum" in value else []
    bounds += [f"at most {value['maximum']}"] if "maximum" in value else []
    return ", ".join([kind, *bounds])


if __name__ == "__main__":
    sys.exit(write_or_check({OUTPUT: page()}, __doc__ or ""))
