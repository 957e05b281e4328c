"""The commands that show component actors: `actors`, and `inspect` of a name."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.tree import Tree

from airssys.cli.configuration import State, state_directory
from airssys.cli.names import opened
from airssys.cli.output import Json, escaped, print_json, print_pairs, size_text
from airssys.wasm.actors.failures import codec_name
from airssys.wasm.actors.records import ActorRecords
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from airssys.wasm.host_core import HostCore
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import DeploymentRecord, Revision

__all__ = ["add_to", "inspect_deployment"]


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


def inspect_deployment(name: str, state: Path | None, *, live: bool, as_json: bool) -> None:
    """Show what a deployment is, and its actors; with `live` as they run."""
    with contextlib.closing(open_registry(state_directory(state))) as registry:
        record = registry.deployment(name.partition("#")[0])
        revision = registry.revision(record.name, record.live)
        shown = _shown(registry, record, revision)
    if live:
        with opened(state, record.name) as core:
            shown["live"] = core.actors.run(_look(core, record.name))
    if as_json:
        print_json(shown)
        return
    print_pairs([(key.replace("_", " "), _lines(value)) for key, value in shown.items()])


@dataclasses.dataclass(frozen=True, slots=True)
class LiveActor:
    """An actor as it runs."""

    key: str
    state: str
    health: str
    detail: str
    version: str | None
    accepts: tuple[str, ...]
    restarts: int
    memory: int

    def __str__(self) -> str:
        said = f" ({escaped(self.detail)})" if self.detail else ""
        return (
            f"{escaped(self.key) or 'main'}: {self.state}, {self.health}{said}, "
            f"version {escaped(self.version or 'unknown')}, "
            f"accepts {', '.join(self.accepts) or 'every codec'}, {size_text(self.memory)}"
        )


async def _look(core: HostCore, name: str) -> tuple[LiveActor, ...]:
    """Look at each actor of a deployment once it runs."""
    system, fleet = core.actors.system, core.fleet(core.serving(name))
    found = []
    for place in fleet.places:
        health = await system.health(place.ref)
        seen, native = system.inspect(place.ref), place.native.inspect()
        about = place.native.about
        found.append(
            LiveActor(
                key=place.ref.key,
                state=seen.state,
                health=health.value,
                detail=native["health"][1],
                version=None if about is None else about["version"],
                accepts=tuple(codec_name(number) for number in place.native.accepts),
                restarts=seen.restarts,
                memory=native["memory"],
            )
        )
    return tuple(found)


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
        return "\n".join(str(each) for each in value) or "none yet"
    return str(value)
