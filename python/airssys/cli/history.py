"""The commands that show deployments: `list` and `history`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airssys.cli.configuration import State, state_directory
from airssys.cli.names import Name, connected
from airssys.cli.output import Json, print_json, print_table, short_digest, size_text
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    import datetime as dt

    import typer

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("list")(list_deployments)
    app.command()(history)


def list_deployments(*, state: State = None, as_json: Json = False) -> None:
    """List the deployments of a state directory, whether or not a host has it open."""
    host = connected(state)
    if host is not None:
        with host:
            found = [(each.deployment, each.live) for each in host.records()]
    else:
        with contextlib.closing(open_registry(state_directory(state))) as registry:
            found = [
                (deployment, registry.revision(deployment.name, deployment.live))
                for deployment in registry.deployments()
            ]
    if as_json:
        print_json([{"deployment": deployment, "live": live} for deployment, live in found])
        return
    print_table(
        ("name", "revision", "lifetime", "component", "size", "since"),
        (
            (
                deployment.name,
                live.number,
                live.settings.lifetime,
                short_digest(live.digest),
                size_text(live.size),
                _minute(live.at),
            )
            for deployment, live in found
        ),
    )


def history(name: Name, *, state: State = None, as_json: Json = False) -> None:
    """Show the revisions of a deployment, and how it moved between them."""
    host = connected(state)
    if host is not None:
        with host:
            served = host.deployment(name)
            revisions, rollouts = served.history(), served.rollouts()
            (deployment,) = (
                each.deployment for each in host.records() if each.deployment.name == name
            )
    else:
        with contextlib.closing(open_registry(state_directory(state))) as registry:
            deployment = registry.deployment(name)
            revisions = registry.revisions(name)
            rollouts = registry.rollouts(name)
    if as_json:
        print_json({"deployment": deployment, "revisions": revisions, "rollouts": rollouts})
        return
    print_table(
        ("", "revision", "component", "size", "deployed", "by", "why"),
        (
            (
                "live" if revision.number == deployment.live else "",
                revision.number,
                short_digest(revision.digest),
                size_text(revision.size),
                _minute(revision.at),
                revision.who,
                revision.why,
            )
            for revision in revisions
        ),
    )
    moves = [each for each in rollouts if each.kind == "rollback" or each.strategy]
    if moves:
        print_table(
            ("moved", "from", "to", "state", "at", "by", "why"),
            (
                (
                    each.strategy or each.kind,
                    each.from_revision or "",
                    each.to_revision,
                    each.state,
                    _minute(each.at),
                    each.who,
                    each.why,
                )
                for each in moves
            ),
        )


def _minute(moment: dt.datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
