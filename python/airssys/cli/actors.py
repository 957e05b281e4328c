"""The commands that show component actors: `actors`, and `inspect` of a name."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.tree import Tree

from airssys.cli.configuration import State, state_directory
from airssys.cli.names import connected, using
from airssys.cli.output import Json, escaped, print_json, print_pairs, size_text
from airssys.wasm.actors.live import LiveActor
from airssys.wasm.host_errors import HostError
from airssys.wasm.remote.kept_actors import kept_actors
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import typer

    from airssys.wasm.remote.wire import KeptActors
    from airssys.wasm.revision import Revision

__all__ = ["add_to", "inspect_deployment"]


class UnknownActor(HostError, LookupError):
    """The deployment has no actor of that key."""

    default_code = "unknown-actor"


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(actors)


def actors(*, state: State = None, as_json: Json = False) -> None:
    """Show the component actors of a host as a tree, whether or not it runs.

    Namespaces hold deployments, deployments hold actors by key. A host that opens the directory
    starts them all.
    """
    host = connected(state)
    if host is not None:
        with host:
            rows: Sequence[KeptActors] = host.kept_actors()
    else:
        with contextlib.closing(open_registry(state_directory(state))) as registry:
            rows = kept_actors(registry)
    if as_json:
        print_json(
            [
                {"deployment": each.deployment, "revision": each.revision, "actors": each.actors}
                for each in rows
            ]
        )
        return
    tree = Tree("actors")
    namespaces: dict[str, Tree] = {}
    for row in rows:
        namespace, _, rest = row.deployment.partition("/")
        branch = namespaces.get(namespace)
        if branch is None:
            branch = namespaces[namespace] = tree.add(escaped(namespace))
        deployment = branch.add(f"{escaped(rest)} [dim]revision {row.revision}, {row.restart}[/]")
        for each in row.actors:
            kept = "no snapshot" if each.size is None else f"snapshot {size_text(each.size)}"
            deployment.add(f"{escaped(each.key) or 'main'} [dim]{kept}[/]")
    Console(highlight=False).print(tree)


def inspect_deployment(address: str, state: Path | None, *, live: bool, as_json: bool) -> None:
    """Show what a deployment is, and its actors, or the one of a key; with `live` as they run."""
    name, only_one, key = address.partition("#")
    shown = _look(state, name)
    if only_one:
        shown["actors"] = tuple(each for each in shown.get("actors", ()) if each.key == key)
        if not shown["actors"]:
            raise UnknownActor(
                f"deployment '{name}' has no actor {key or 'main'!r}",
                hint=f"`airssys inspect {name}` shows its actors; a message makes one",
            )
    if live:
        with using(state, shown["name"]) as host:
            actors = host.actors(shown["name"])
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


def _look(state: Path | None, name: str) -> dict[str, Any]:
    host = connected(state)
    if host is not None:
        with host:
            revision = host.deployment(name).revision
            kept = host.kept_actors()
    else:
        with contextlib.closing(open_registry(state_directory(state))) as registry:
            revision = registry.revision(name, registry.deployment(name).live)
            kept = tuple(kept_actors(registry))
    return _shown(name, revision, kept)


def _shown(name: str, live: Revision, kept: Sequence[KeptActors]) -> dict[str, Any]:
    settings = live.settings
    shown: dict[str, Any] = {
        "name": name,
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
        shown["actors"] = next((each.actors for each in kept if each.deployment == name), ())
    return shown


def _lines(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key} = {each}" for key, each in value.items())
    if isinstance(value, tuple):
        lines = (_live(each) if isinstance(each, LiveActor) else str(each) for each in value)
        return "\n".join(lines) or "none yet"
    return str(value)
