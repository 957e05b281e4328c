"""`airssys manifest`: check manifests, print their schemas, put one into a component."""

from __future__ import annotations

import contextlib
import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from airssys.cli.configuration import State, state_directory
from airssys.cli.files import about, replace_file
from airssys.cli.names import Name  # noqa: TC001 - typer looks at annotations
from airssys.cli.output import Json, print_json, print_note, print_text
from airssys.wasm.component_file import read_component
from airssys.wasm.manifest import (
    ComponentManifest,
    HostManifest,
    ManifestError,
    embed_manifest,
    embedded_manifest,
    json_schema,
    read_component_manifest,
    read_host_manifest,
    requested,
)
from airssys.wasm.security.capability_text import asking_for, capability_text
from airssys.wasm.security.suggestion import uses_of
from airssys.wasm.state_directory import open_registry

__all__ = ["app"]

app = typer.Typer(
    name="manifest",
    help="Check Component.toml and airssys.toml, and what a component carries.",
    no_args_is_help=True,
    add_completion=False,
)

_WASM = b"\0asm"


class Kind(Enum):
    """The two files."""

    COMPONENT = "component"
    HOST = "host"


File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Component.toml, airssys.toml, or a component.")
]
KindOption = Annotated[
    Kind | None,
    typer.Option("--kind", help="Which of the two a file is, where its name does not say."),
]


@app.command()
def check(file: File, *, kind: KindOption = None, as_json: Json = False) -> None:
    """Check a manifest; errors name file, line and column."""
    manifest = _read(file, kind)
    if isinstance(manifest, HostManifest):
        names = sorted(manifest.deployments)
        if as_json:
            print_json({"ok": True, "kind": "host", "deployments": names})
            return
        print_text(f"ok: {len(names)} deployments" + "".join(f"\n  {name}" for name in names))
        return
    about = manifest.component
    asked = [
        {"kind": each.kind, "access": each.access, "target": each.target, "reason": each.reason}
        for each in requested(manifest)
    ]
    if as_json:
        print_json(
            {
                "ok": True,
                "kind": "component",
                "name": about.name,
                "version": about.version,
                "requests": asked,
            }
        )
        return
    print_text(f"ok: {about.name} {about.version}, asks for {len(asked)} capabilities")
    for each in requested(manifest):
        reason = f"  ({each.reason})" if each.reason else ""
        print_text(f"  {each.kind} {','.join(each.access)} {each.target}{reason}")


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(help="component or host.")] = Kind.COMPONENT,
) -> None:
    """Print the JSON Schema of one of the two files, for editors."""
    shape = ComponentManifest if kind is Kind.COMPONENT else HostManifest
    typer.echo(json.dumps(json_schema(shape), indent=2))


@app.command()
def embed(
    component: Annotated[Path, typer.Argument(metavar="COMPONENT", help="A component, binary.")],
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Its Component.toml.")
    ] = Path("Component.toml"),
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here, not over the component.")
    ] = None,
) -> None:
    """Put a manifest into a component, in the place of any other; sign it after that."""
    said = read_component_manifest(manifest)
    with about(component):
        packed = embed_manifest(read_component(component), said)
    target = output or component
    replace_file(target, packed)
    print_text(f"{manifest} is in {target}")


@app.command()
def show(
    component: Annotated[Path, typer.Argument(metavar="COMPONENT", help="A component, binary.")],
) -> None:
    """Print the manifest that a component carries, as JSON."""
    print_json(msgspec.to_builtins(_embedded(component)))


@app.command()
def suggest(name: Name, *, state: State = None, as_json: Json = False) -> None:
    """Print the least request that covers what a deployment used while it was learning.

    It stands in Component.toml as it is printed; what was refused is not in it. Reads the audit log
    of the state directory, whether or not a host has it open.
    """
    directory = state_directory(state)
    with contextlib.closing(open_registry(directory)) as registry:
        revisions = {each.number: each for each in registry.revisions(name)}
    used = uses_of(directory / "audit", name, revisions)
    asked = asking_for(used)
    if as_json:
        print_json({"deployment": name, "capabilities": asked, "used": [u._asdict() for u in used]})
        return
    if not used:
        print_note(f"{name} used nothing while it was learning; deploy it with enforcement 'learn'")
        return
    print_text(capability_text(asked))


def _read(file: Path, kind: Kind | None) -> ComponentManifest | HostManifest:
    with file.open("rb") as opened:
        binary = opened.read(4) == _WASM
    if binary:
        return _embedded(file)
    if kind is None:
        kind = Kind.HOST if file.name == "airssys.toml" else Kind.COMPONENT
    return read_host_manifest(file) if kind is Kind.HOST else read_component_manifest(file)


def _embedded(component: Path) -> ComponentManifest:
    with about(component):
        manifest = embedded_manifest(read_component(component))
    if manifest is None:
        raise ManifestError(
            f"{component} carries no manifest; put one in with `airssys manifest embed`"
        )
    return manifest
