"""The commands that show component actors: `actors`, and `inspect` of a name."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.tree import Tree

from airssys.cli.configuration import State, state_directory
from airssys.cli.names import using
from airssys.cli.output import Json, escaped, print_json, print_pairs, size_text
from airssys.wasm.actors.live import LiveActor
from airssys.wasm.actors.records import ActorRecords
from airssys.wasm.host_errors import HostError
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import DeploymentRecord, Revision

__all__ = ["add_to", "inspect_deployment"]


class UnknownActor(HostError, LookupError):
    """The deployment has no actor of that key."""

    default_code = "unknown-actor"


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(actors)


def actors(*, state: State = None, as_json: Json = False) -> None:
    """Show the component actors of a state directory as a tree, whether or not a host has it open.

    Namespaces hold deployments, deployments hold actors by key. A host that opens the directory
    starts them all.
    """
    with contextlib.closing(open_registry(state_directory(state))) as registry:
        found = [
            (record, registry.revision(record.name, record.live), ActorRecords(registry))
            for record in registry.deployments()
        ]
        rows = [
            (record, live, records.states(record.name))
            for record, live, records in found
            if live.settings.actor is not None
        ]
    if as_json:
        print_json(
            [
                {"deployment": record.name, "revision": live.number, "actors": states}
                for record, live, states in rows
            ]
        )
        return
    tree = Tree("actors")
    namespaces: dict[str, Tree] = {}
    for record, live, states in rows:
        namespace, _, rest = record.name.partition("/")
        branch = namespaces.get(namespace)
        if branch is None:
            branch = namespaces[namespace] = tree.add(escaped(namespace))
        settings = live.settings.actor
        restart = "" if settings is None else f", {settings.restart}"
        deployment = branch.add(f"{escaped(rest)} [dim]revision {live.number}{restart}[/]")
        for each in states:
            kept = "no snapshot" if each.size is None else f"snapshot {size_text(each.size)}"
            deployment.add(f"{escaped(each.key) or 'main'} [dim]{kept}[/]")
    Console(highlight=False).print(tree)


def inspect_deployment(address: str, state: Path | None, *, live: bool, as_json: bool) -> None:
    """Show what a deployment is, and its actors, or the one of a key; with `live` as they run."""
    name, only_one, key = address.partition("#")
    with contextlib.closing(open_registry(state_directory(state))) as registry:
        record = registry.deployment(name)
        revision = registry.revision(record.name, record.live)
        shown = _shown(registry, record, revision)
    if only_one:
        shown["actors"] = tuple(each for each in shown.get("actors", ()) if each.key == key)
        if not shown["actors"]:
            raise UnknownActor(
                f"deployment '{name}' has no actor {key or 'main'!r}",
                hint=f"`airssys inspect {name}` shows its actors; a message makes one",
            )
    if live:
        with using(state, record.name) as host:
            actors = host.actors(record.name)
        shown["live"] = tuple(each for each in actors if not only_one or each.key == key)
    if as_json:
        print_json(shown)
        return
    print_pairs([(key.replace("_", " "), _lines(value)) for key, value in shown.items()])


def _live(actor: LiveActor) -> str:
    said = f" ({escaped(actor.detail)})" if actor.detail else ""
    return (
        f"{escaped(actor.key) or 'main'}: {actor.state}, {actor.health}{said}, "
        f"version {escaped(actor.version or 'unknown')}, "
        f"accepts {', '.join(actor.accepts) or 'every codec'}, {size_text(actor.memory)}"
    )


def _shown(registry: Registry, record: DeploymentRecord, live: Revision) -> dict[str, Any]:
    settings = live.settings
    shown: dict[str, Any] = {
        "name": record.name,
        "revision": live.number,
        "component": live.digest,
        "size": live.size,
        "lifetime": settings.lifetime,
        "deployed": f"{live.at.astimezone():%Y-%m-%d %H:%M} by {live.who}",
        "limits": settings.limits,
        "ceilings": dataclasses.asdict(settings.ceilings),
    }
    if settings.actor is not None:
        shown["run"] = dataclasses.asdict(settings.actor)
        shown["actors"] = ActorRecords(registry).states(record.name)
    return shown


def _lines(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key} = {each}" for key, each in value.items())
    if isinstance(value, tuple):
        lines = (_live(each) if isinstance(each, LiveActor) else str(each) for each in value)
        return "\n".join(lines) or "none yet"
    return str(value)
