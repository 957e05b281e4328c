"""The commands on a whole host: locks, the kill switch, collection, search, backup and restore."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airssys.cli.configuration import State, state_directory
from airssys.cli.moments import span
from airssys.cli.names import Name, connected, using, using_host
from airssys.cli.output import (
    Json,
    print_json,
    print_note,
    print_table,
    short_digest,
    size_text,
    working,
)
from airssys.wasm.revision_search import RevisionQuery, find_revisions
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost

__all__ = ["add_to"]

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the records.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for name, method, done, text in (
        (
            "freeze",
            "freeze",
            "frozen: no deployment can be changed",
            "Refuse every deploy, rollback and removal until `thaw`; calls go on.",
        ),
        ("thaw", "thaw", "thawed", "Take deploys, rollbacks and removals again."),
        (
            "kill-all",
            "kill_all",
            "every guest was stopped, and none runs until `airssys revive`",
            "Stop every guest of the host now, and run none until `revive`.",
        ),
        ("revive", "revive", "the guests run again", "Run the guests again that were stopped."),
    ):
        add = app.command(name, help=text)
        add(_switch(method, done))
    for name, text in (
        ("lock", "Refuse to deploy, roll back or remove a deployment until `unlock`."),
        ("unlock", "Take changes of a deployment again."),
    ):
        add = app.command(name, help=text)
        add(_switch_one(name))
    app.command()(locks)
    app.command()(collect)
    app.command()(search)
    app.command()(backup)
    app.command()(restore)


def _switch(method: str, done: str) -> Any:
    def switch(*, why: Why = "", state: State = None, as_json: Json = False) -> None:
        with using_host(state) as host:
            getattr(host, method)(why=why)
            _say(host, done, as_json=as_json)

    return switch


def _switch_one(method: str) -> Any:
    def switch(name: Name, *, why: Why = "", state: State = None, as_json: Json = False) -> None:
        with using(state, name) as host:
            getattr(host, method)(name, why=why)
            _say(host, f"{method}ed {name}", as_json=as_json)

    return switch


def _say(host: BlockingHost | BlockingConnectedHost, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"locks": host.locks()})
    else:
        print_note(done)


def locks(*, state: State = None, as_json: Json = False) -> None:
    """List what is locked, frozen or stopped: by whom, when and why."""
    with using_host(state) as host:
        found = host.locks()
    if as_json:
        print_json(found)
        return
    print_table(
        ("what", "by", "since", "why"),
        (
            (
                {"*": "every deployment (frozen)", "!": "every guest (stopped)"}.get(
                    each.scope, each.scope
                ),
                each.who,
                f"{each.at.astimezone():%Y-%m-%d %H:%M}",
                each.why,
            )
            for each in found
        ),
    )


def collect(
    *,
    keep: Annotated[
        int, typer.Option("--keep", metavar="COUNT", help="The last revisions that are kept.")
    ] = 10,
    keep_for: Annotated[
        str,
        typer.Option("--keep-for", metavar="TIME", help="How long all are kept: 30d, 12h, 0."),
    ] = "0",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Delete the components of revisions that are older than both say; their history is kept."""
    kept = span(keep_for, "--keep-for")
    with using_host(state) as host:
        freed = host.collect(keep=keep, keep_for=kept)
    if as_json:
        print_json({"freed": freed})
    else:
        print_note(f"freed {size_text(freed)}")


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Words that all occur in what is known of one."),
    ] = None,
    *,
    name: Annotated[
        str, typer.Option("--name", metavar="PATTERN", help="The deployment, as image/*.")
    ] = "",
    digest: Annotated[
        str, typer.Option("--digest", metavar="DIGEST", help="The component, or its beginning.")
    ] = "",
    version: Annotated[
        str, typer.Option("--version", metavar="RANGE", help="A range of versions, as ^1.2.")
    ] = "",
    signer: Annotated[
        str, typer.Option("--signer", metavar="KEY", help="The key that signed it.")
    ] = "",
    who: Annotated[str, typer.Option("--who", metavar="USER", help="Who deployed it.")] = "",
    live: Annotated[bool, typer.Option("--live", help="Only what is live.")] = False,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Find revisions: by words of their manifests, versions, components, keys and people.

    It looks whether or not a host has the state directory open, and asks a server where one is
    named.
    """
    query = RevisionQuery(
        text=" ".join(words or ()),
        name=name,
        digest=digest,
        version=version,
        signer=signer,
        who=who,
        live=live,
    )
    host = connected(state)
    if host is not None:
        with host:
            found = host.find_revisions(query)
    else:
        with contextlib.closing(open_registry(state_directory(state))) as registry:
            found = find_revisions(registry, query)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "revision", "", "version", "component", "deployed", "by", "description"),
        (
            (
                each.deployment,
                each.revision.number,
                "live" if each.live else "",
                each.revision.about.version,
                short_digest(each.revision.digest),
                f"{each.revision.at.astimezone():%Y-%m-%d %H:%M}",
                each.revision.who,
                each.revision.about.description,
            )
            for each in found
        ),
    )


def backup(
    state: Annotated[Path, typer.Argument(metavar="STATE", help="The state directory.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    *,
    as_json: Json = False,
) -> None:
    """Write everything that a state directory holds to a file, also while a server runs.

    Deployments with their history, components, what they stored, trust, the audit log and the key
    that signs it: the file is as secret as the directory. Not in it: compiled code, and what guests
    logged.
    """
    _need(state)
    with using_host(state) as host, working(f"writing {file.name}"):
        host.backup(file)
    size = file.stat().st_size
    if as_json:
        print_json({"file": file, "size": size})
    else:
        print_note(f"wrote {file} ({size_text(size)})")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")],
    state: Annotated[
        Path, typer.Argument(metavar="STATE", help="A directory that is empty or not there yet.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Make a state directory from a backup; everything is verified before it is there."""
    from airssys.wasm.backup import restore as make  # noqa: PLC0415 - most commands need none

    with working(f"restoring {file.name}"):
        found = make(file, state)
    if as_json:
        print_json({"state": state, "made": found.made, "size": found.size})
    else:
        print_note(f"restored {state} as it was at {found.made} ({size_text(found.size)})")


def _need(state: Path) -> None:
    """Refuse what is no state directory: opening one would make it."""
    with contextlib.closing(open_registry(state)):
        pass
