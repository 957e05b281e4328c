"""The commands `approvals`, `approve` and `deny`: what waits for a person in a running host."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.configuration import State, state_directory
from airssys.cli.names import connected
from airssys.cli.output import Json, print_json, print_note, print_table, print_text
from airssys.wasm.host_inputs import user
from airssys.wasm.security.approval_records import ApprovalRecords
from airssys.wasm.state_directory import open_registry, open_registry_beside
from airssys.wasm.state_lock import owner_of

if TYPE_CHECKING:
    from pathlib import Path

    from airssys.wasm.security.approval_records import Answer, PendingApproval

__all__ = ["add_to"]

Number = Annotated[
    int,
    typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="As `airssys approvals` lists it."),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the records.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(approvals)
    app.command()(approve)
    app.command()(deny)


def approvals(*, state: State = None, as_json: Json = False) -> None:
    """List the accesses that wait for a person; `approve` and `deny` answer them."""
    pending = _pending(state)
    if as_json:
        print_json(pending)
        return
    if not pending:
        print_note("nothing waits for a person")
        return
    now = dt.datetime.now(dt.UTC)
    print_table(
        ("id", "deployment", "wants to", "target", "for", "by rule", "seconds left"),
        (
            (
                each.id,
                each.principal,
                f"{each.kind} {each.access}",
                each.target,
                " -> ".join(each.callers),
                each.rule,
                f"{(each.until - now).total_seconds():.0f}",
            )
            for each in pending
        ),
    )


def _pending(state: Path | None) -> tuple[PendingApproval, ...]:
    host = connected(state)
    if host is not None:
        with host:
            return host.approvals()
    directory = state_directory(state)
    with contextlib.closing(open_registry(directory)) as registry:
        # What an ended host left behind waits for nobody.
        waits = owner_of(directory) is not None
        return ApprovalRecords(registry).pending() if waits else ()


def approve(number: Number, *, why: Why = "", state: State = None, as_json: Json = False) -> None:
    """Allow an access that waits; the first answer counts."""
    _answer(number, "approve", why, state, as_json=as_json)


def deny(number: Number, *, why: Why = "", state: State = None, as_json: Json = False) -> None:
    """Refuse an access that waits; it is not asked for again for a minute."""
    _answer(number, "deny", why, state, as_json=as_json)


def _answer(number: int, answer: Answer, why: str, state: Path | None, *, as_json: bool) -> None:
    host = connected(state)
    if host is not None:
        with host:
            found, who = host.answer(number, answer, why=why), host.state().principal
    else:
        who = user()
        with contextlib.closing(open_registry_beside(state_directory(state))) as registry:
            found = ApprovalRecords(registry).answer(number, answer, who=who, why=why)
    if as_json:
        print_json({"answer": answer, "by": who, "approval": found})
    else:
        verb = "approved" if answer == "approve" else "denied"
        print_text(f"{verb} {number}: {found.principal} {found.kind} {found.access} {found.target}")
