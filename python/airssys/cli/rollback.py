"""The command `rollback`: it loads as little as it can, since somebody waits for it in trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import Name, is_served, using
from airssys.cli.output import Json, print_json, print_note, short_digest
from airssys.wasm.host_errors import UnknownDeployment

if TYPE_CHECKING:
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from airssys.wasm.revision import Revision

__all__ = ["Why", "add_to", "live_of", "report_on"]

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the history.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(rollback)


def rollback(
    name: Name,
    *,
    to: Annotated[
        int | None, typer.Option("--to", metavar="REVISION", help="Default: what was replaced.")
    ] = None,
    why: Why = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Make an earlier revision live again."""
    with using(state, name) as host:
        deployment = host.deployment(name)
        before, moving = deployment.revision, deployment.rollout().status()
        deployment.rollback(to, why=why)
        if not (moving.over or as_json):
            print_note(f"revision {moving.to_revision} of {name} was taken back")
        report_on(host, name, before, as_json=as_json)


def live_of(host: BlockingHost | BlockingConnectedHost, name: str) -> Revision | None:
    """Return the live revision of a deployment; None where there is no such deployment."""
    try:
        return host.deployment(name).revision
    except UnknownDeployment:
        return None


def report_on(
    host: BlockingHost | BlockingConnectedHost,
    name: str,
    before: Revision | None,
    *,
    as_json: bool,
) -> None:
    """Say what a deploy or a rollback came to."""
    live = live_of(host, name)
    changed = live != before
    moving = None if live is None else host.deployment(name).rollout().status()
    if moving is not None and moving.over:
        moving = None
    if as_json:
        print_json({"deployment": name, "changed": changed, "live": live, "rollout": moving})
        return
    if moving is not None:
        print_note(
            f"{name} is at revision {moving.from_revision} and moves to {moving.to_revision}:"
            f" {moving.strategy}, {moving.state} at {moving.weight:.1%}"
        )
        if not is_served(host):
            print_note("no server runs: the rollout goes on when one does, or with --watch")
    elif live is not None:
        verb = "is now at" if changed else "is already at"
        print_note(f"{name} {verb} revision {live.number} ({short_digest(live.digest)})")
