"""The commands `grants`, `grant` and `revoke`: what deployments may do, beside a running host."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from airssys.cli.configuration import State, state_directory
from airssys.cli.moments import AHEAD, moment
from airssys.cli.names import Name, connected
from airssys.cli.output import Json, print_json, print_note, print_table, print_text
from airssys.wasm.host_inputs import user
from airssys.wasm.security.asking import granting_of, missing_of, request_states
from airssys.wasm.security.beside import Taken, wait_until_taken
from airssys.wasm.security.errors import UnknownGrant
from airssys.wasm.security.grants import GrantRecords
from airssys.wasm.state_directory import open_registry, open_registry_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Settings
    from airssys.wasm.security.grant import Grant, RequestState

__all__ = ["add_to"]

#: Seconds beyond the drain time of calls that a host gets to replace instances.
_GRACE = 30.0

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the records.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(grants)
    app.command()(grant)
    app.command()(revoke)


class _Opened(NamedTuple):
    directory: Path
    registry: Registry
    records: GrantRecords
    identity: int
    settings: Settings


@contextlib.contextmanager
def _opened(name: str, state: Path | None, *, write: bool) -> Iterator[_Opened]:
    directory = state_directory(state)
    opening = open_registry_beside if write else open_registry
    with contextlib.closing(opening(directory)) as registry:
        deployment = registry.deployment(name)
        settings = registry.revision(name, deployment.live).settings
        yield _Opened(directory, registry, GrantRecords(registry), deployment.id, settings)


def grants(name: Name, *, state: State = None, as_json: Json = False) -> None:
    """Show what a deployment asks for and what it was granted, by whom and until when."""
    host = connected(state)
    if host is not None:
        with host:
            served = host.deployment(name)
            held, asked = served.grants(), served.requests()
    else:
        with _opened(name, state, write=False) as opened:
            held = opened.records.in_force(name, opened.identity)
        asked = request_states(opened.settings, held)
    if as_json:
        print_json({"deployment": name, "requests": asked, "grants": held})
        return
    print_table(
        ("asks for", "access", "target", "granted", "reason"),
        (
            (each.place, ",".join(each.access), each.target, _state(each), each.reason)
            for each in asked
        ),
    )
    if not held:
        print_note(f"{name} is granted nothing")
        return
    print_text("")
    print_table(
        ("grant", "kind", "access", "target", "by", "since", "until", "why"),
        (
            (
                each.id,
                each.kind,
                ",".join(each.access),
                each.target,
                each.who,
                f"{each.at.astimezone():%Y-%m-%d %H:%M}",
                "" if each.until is None else f"{each.until.astimezone():%Y-%m-%d %H:%M:%S}",
                each.why,
            )
            for each in held
        ),
    )


def _state(request: RequestState) -> str:
    by = ", ".join(str(grant.id) for grant in request.grants)
    return f"{request.state} ({by})" if by else request.state


def grant(
    name: Name,
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PLACE]...", help="Requests, as `http[0]`; `airssys grants` lists."
        ),
    ] = None,
    *,
    requested: Annotated[
        bool, typer.Option("--requested", help="Everything that the live revision asks for.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help=f"{AHEAD}."),
    ] = None,
    why: Why = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Grant a deployment what it asks for; a running host puts it in force at once."""
    if places and requested:
        raise typer.BadParameter(
            f"{places[0]!r} beside --requested, which is all of them: give one or the other",
            param_hint="PLACE",
        )
    if not places and not requested:
        raise typer.BadParameter(
            "name the requests to grant, as `http[0]`, or give --requested for all of them",
            param_hint="PLACE",
        )
    end = None if until is None else moment(until, "--until", ahead=True)
    host = connected(state)
    if host is not None:
        with host:
            made = host.deployment(name).grant(places or None, until=end, why=why)
            taken = Taken(str(host.state().process), in_force=True)
        _report("granted", name, made, taken, as_json=as_json)
        return
    with _opened(name, state, write=True) as opened:
        held = opened.records.in_force(name, opened.identity)
        if places:
            wanted = granting_of(places, opened.settings)
        else:
            wanted = missing_of(opened.settings, held)
        made = opened.records.add(name, opened.identity, wanted, who=user(), why=why, until=end)
        taken = wait_until_taken(opened.directory, opened.records, made, "grant")
    _report("granted", name, made, taken, as_json=as_json)


def revoke(
    name: Name,
    numbers: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[GRANT]...", help="Numbers of grants; `airssys grants` lists them."
        ),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that it was granted.")] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Have its instances replaced too; return when none is left that had the right.",
        ),
    ] = False,
    why: Why = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Take grants back; in a running host what is open stops at its next operation.

    Returns once the host has done so, or says that it has not.
    """
    if numbers and everything:
        raise typer.BadParameter(
            f"{numbers[0]} beside --all: give one or the other", param_hint="GRANT"
        )
    if not numbers and not everything:
        raise typer.BadParameter(
            "name the grants to take back by their numbers, or give --all", param_hint="GRANT"
        )
    host = connected(state)
    if host is not None:
        with host:
            deployment = host.deployment(name)
            gone = deployment.revoke(numbers or "all", wait=wait, why=why)
            taken = Taken(str(host.state().process), in_force=True)
        _report("revoked", name, gone, taken, as_json=as_json, replaced=wait)
        return
    with _opened(name, state, write=True) as opened:
        held = {each.id: each for each in opened.records.of(name, opened.identity)}
        for number in numbers or ():
            if number not in held:
                raise UnknownGrant(name, number, list(held.values()))
        chosen = [held[number] for number in dict.fromkeys(numbers or held)]
        opened.records.revoke(chosen, who=user(), why=why)
        taken = wait_until_taken(opened.directory, opened.records, chosen, "revoke")
        if wait and taken.in_force:
            opened.records.set_told([each.id for each in chosen], "replace")
            bound = opened.settings.drain + _GRACE
            taken = wait_until_taken(
                opened.directory, opened.records, chosen, "replaced", bound=bound
            )
    _report("revoked", name, chosen, taken, as_json=as_json, replaced=wait)


def _report(
    verb: str,
    name: str,
    changed: Sequence[Grant],
    taken: Taken,
    *,
    as_json: bool,
    replaced: bool = False,
) -> None:
    done = "replaced" if replaced else "in_force"
    if as_json:
        print_json(
            {"deployment": name, verb: [dataclasses.asdict(each) for each in changed]}
            | {"host": taken.host, done: taken.in_force}
        )
        return
    if not changed:
        has = "has all that it asks for" if verb == "granted" else "is granted nothing"
        print_note(f"nothing to be {verb}: {name} {has}")
        return
    for each in changed:
        print_text(f"{verb} {each.id}: {each}")
    if taken.host is None:
        print_note("no host has the state directory open; it holds from the next start on")
    elif taken.in_force:
        more = ", and the instances are replaced" if replaced else ""
        print_note(f"in force in process {taken.host}{more}")
    elif replaced:
        print_note(f"recorded, but process {taken.host} has not replaced all instances yet")
    else:
        print_note(f"recorded, but process {taken.host} has not taken it up yet")
