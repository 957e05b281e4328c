"""The command `status`: what is served, and how it is."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING

from airssys.cli.configuration import State, state_directory
from airssys.cli.names import connected
from airssys.cli.output import (
    Json,
    print_json,
    print_note,
    print_pairs,
    print_table,
    short_digest,
    size_text,
)
from airssys.wasm.state_directory import open_registry
from airssys.wasm.state_lock import owner_of

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from airssys.wasm.remote.wire import DeploymentState, HostState, HttpState

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(status)


def status(*, state: State = None, as_json: Json = False) -> None:
    """Show the host that serves a state directory, and what its deployments do."""
    host = connected(state)
    if host is None:
        _show_unserved(state_directory(state), as_json=as_json)
        return
    with host:
        about, deployments, http = host.state(), host.states(), host.http()
    if as_json:
        print_json({"running": True, "host": about, "deployments": deployments, "http": http})
        return
    _show(about, http)
    print_table(
        ("name", "state", "revision", "component", "calls", "failed", "now", "p99", "memory"),
        (_row(each) for each in deployments),
    )
    for missing in dict.fromkeys(name for each in http for name in each.missing):
        print_note(f"a route leads to '{missing}', which is no deployment that takes requests")


def _show(about: HostState, http: tuple[HttpState, ...]) -> None:
    since = dt.datetime.fromtimestamp(about.started).astimezone()
    used = about.usage
    print_pairs(
        [
            ("host", f"AirsSys {about.version}, process {about.process}, {about.status}"),
            ("directory", about.directory),
            ("since", f"{since:%Y-%m-%d %H:%M:%S}"),
            ("you", f"{about.principal}: {', '.join(about.roles) or 'no role'}"),
            ("calls", f"{used.calls}, {used.failures} failed, {used.cpu_seconds:.1f} s processor"),
            ("memory", f"{size_text(used.memory)} in {used.instances} instances"),
            *(("requests", f"http://{each.address}") for each in http),
        ]
    )


def _row(each: DeploymentState) -> tuple[object, ...]:
    counts = each.statistics
    live = next((one for one in counts.revisions if one.revision == each.revision.number), None)
    return (
        each.name,
        "held" if each.held else "live",
        each.revision.number,
        short_digest(each.revision.digest),
        counts.calls,
        counts.failures,
        counts.in_flight,
        "" if live is None or not live.calls else f"{live.p99 * 1000:.2f} ms",
        size_text(counts.memory),
    )


def _show_unserved(directory: Path, *, as_json: bool) -> None:
    owner = owner_of(directory)
    with contextlib.closing(open_registry(directory)) as registry:
        names = [each.name for each in registry.deployments()]
    if as_json:
        print_json({"running": False, "owner": owner, "deployments": names})
        return
    who = "no host has it open" if owner is None else f"process {owner} has it open, unserved"
    count = f"{len(names)} deployment{'' if len(names) == 1 else 's'}"
    print_note(f"{directory.absolute()}: {who}; {count}, `airssys list` shows more")
