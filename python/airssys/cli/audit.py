"""`airssys audit`: follow, search, verify, export and prune the audit log."""

from __future__ import annotations

import csv
import datetime as dt
import functools
import inspect
import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from airssys.cli.configuration import State, server_address, state_directory
from airssys.cli.moments import BACK, SECONDS, SPAN, moment
from airssys.cli.names import served
from airssys.cli.output import print_note, size_text
from airssys.osl.audit_log import Record, public_key_of, read_records, verify_log
from airssys.osl.retention import Retention, plan_pruning, prune_log
from airssys.osl.truncation import acknowledge_truncation
from airssys.wasm.host_inputs import user
from airssys.wasm.security.checkpoints import acknowledge, checkpoint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["app"]

app = typer.Typer(
    name="audit",
    help="Follow, search, verify, export and prune the audit log.",
    add_completion=False,
)

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)?")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Format(Enum):
    """What `export` writes."""

    JSONL = "jsonl"
    CSV = "csv"


Directory = Annotated[
    Path | None,
    typer.Option(
        "--log",
        envvar="AIRSSYS_AUDIT",
        help="Directory of the log; by default that of the host.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
WhoOption = Annotated[str | None, typer.Option("--principal", help="Records about this principal.")]
WhatOption = Annotated[
    str | None, typer.Option("--operation", help="An operation, or its family: filesystem.")
]
TargetOption = Annotated[str | None, typer.Option("--target", help="Part of the target.")]
DecisionOption = Annotated[
    str | None, typer.Option("--decision", help="allow, deny, ask, observed, outcome, …")
]
DeniedOption = Annotated[bool, typer.Option("--denied", help="Only what was refused.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")]
LastOption = Annotated[
    int | None, typer.Option("--last", min=0, help="Begin this many records back.")
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what is recorded from now on.")
]
RuleOption = Annotated[str | None, typer.Option("--rule", help="The rule that decided.")]
SinceOption = Annotated[str | None, typer.Option("--since", help=f"{BACK}.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="As --since.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")]


@dataclass(frozen=True, slots=True)
class Search:
    """Which records of which log are wanted, and how they are printed; `None` for any."""

    directory: Directory = None
    principal: WhoOption = None
    operation: WhatOption = None
    target: TargetOption = None
    decision: DecisionOption = None
    denied: DeniedOption = False
    rule: RuleOption = None
    since: SinceOption = None
    until: UntilOption = None
    limit: LimitOption = None
    state: State = None
    as_json: AsJson = False


def _searching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Search`, which it gets as `search`."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(Search, eval_str=True).parameters

    @functools.wraps(command)
    def searching(**given: Any) -> None:
        search = Search(**{name: given.pop(name) for name in shared})
        command(search=search, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    rest = [each for name, each in own.items() if name != "search"]
    every = [each.replace(kind=keyword) for each in (*shared.values(), *rest)]
    searching.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    return searching


def _log(directory: Path | None, state: Path | None) -> Path:
    """Return the directory of the log: the one that is named, or that of the host."""
    if directory is not None and state is not None:
        raise typer.BadParameter("--log and --state name two logs; give one of them")
    return directory if directory is not None else state_directory(state) / "audit"


def _decision(decision: str | None, *, denied: bool) -> str | None:
    if denied and decision not in {None, "deny"}:
        raise typer.BadParameter(f"--denied and --decision {decision!r} exclude each other")
    return "deny" if denied else decision


def _span_of_time(since: str | None, until: str | None) -> tuple[float | None, float | None]:
    begin, end = _moment(since, "--since"), _moment(until, "--until")
    if begin is not None and end is not None and begin > end:
        raise typer.BadParameter(
            f"{until!r} is before --since {since!r}; nothing lies between", param_hint="--until"
        )
    return begin, end


def _moment(text: str | None, option: str) -> float | None:
    """Return UTC seconds for a moment or for how long ago it was."""
    return None if text is None else moment(text, option).timestamp()


def _escape(text: str) -> str:
    """Return text in which nothing can move a cursor, colour a line or forge another."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


_COLOURS = {"allow": "green", "deny": "red", "ask": "yellow", "observed": "yellow"}


def _line(record: Record, *, colour: bool) -> str:
    moment = dt.datetime.fromtimestamp(record.time, dt.UTC)
    decision = f"{_escape(record.decision).upper():<8}"
    if colour:
        decision = typer.style(decision, fg=_COLOURS.get(record.decision))
    who = " -> ".join((*record.callers, record.principal)) or "-"
    parts = [who, record.operation, record.target]
    if record.rule:
        parts.append(f"[{record.rule}]")
    if record.count:
        parts.append(f"x{record.count}")
    if record.detail:
        parts.append(f"({record.detail})")
    when = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"{record.sequence:>8} {when} {decision} {_escape(' '.join(filter(None, parts)))}"


def _print(records: Iterator[Record], *, as_json: bool) -> int:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007 - the number of them is wanted
        typer.echo(record.raw if as_json else _line(record, colour=colour))
    return count


@app.callback(invoke_without_command=True)
@_searching
def _audit(
    context: typer.Context, search: Search, last: LastOption = None, follow: FollowOption = False
) -> None:
    """Print the records that match, oldest first; with --follow also those to come."""
    if context.invoked_subcommand is not None:
        given = [name for name, value in context.params.items() if value not in (None, False)]
        if given:
            raise typer.BadParameter(
                f"write the options after `{context.invoked_subcommand}`, not before it"
            )
        return
    _show(search, last=last, follow=follow)


@app.command("follow")
@_searching
def follow_(search: Search, last: LastOption = 10) -> None:
    """Print records as they are written, until interrupted."""
    _show(search, last=None if search.since is not None else last, follow=True)


@app.command("search")
@_searching
def search_(search: Search) -> None:
    """Print the records that match, oldest first; the same as `airssys audit` itself."""
    _show(search, last=None, follow=False)


def _show(search: Search, *, last: int | None, follow: bool) -> None:
    since, until = _span_of_time(search.since, search.until)
    records = _records(
        search.directory,
        search.state,
        principal=search.principal,
        operation=search.operation,
        target=search.target,
        decision=_decision(search.decision, denied=search.denied),
        rule=search.rule,
        since=since,
        until=until,
        limit=search.limit,
        last=last,
        follow=follow,
    )
    if not _print(records, as_json=search.as_json) and not search.as_json:
        print_note("no record matches")


def _records(directory: Path | None, state: Path | None, **wanted: Any) -> Iterator[Record]:
    """Yield records of the log that is named, else of a server that is, else of the host."""
    address = None if directory is not None else server_address(state)
    if address is None:
        yield from read_records(_log(directory, state), **wanted)
        return
    with served(state) as host:
        yield from host.audit(**wanted)


@app.command()
def verify(
    directory: Directory = None,
    key: Annotated[
        Path | None,
        typer.Option(help="File with the public key, or the signing key; default: LOG.key."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint kept elsewhere; a log behind it was truncated. Default: the one in "
            "the database of the host."
        ),
    ] = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain of hashes, the signatures of the checkpoints, and that nothing is missing."""
    found: dict[str, Any]
    if directory is None and key is None and checkpoint is None and server_address(state):
        with served(state) as host:
            found = host.verify_audit()
    else:
        kept: Path | bytes | None = checkpoint
        if directory is None and kept is None:
            kept = checkpoint_of(state_directory(state))
        found = {**verify_log(_log(directory, state), key=key, checkpoint=kept)}
    if as_json:
        typer.echo(json.dumps({"ok": True, **found}, default=str))
        return
    typer.echo(
        f"ok: records {found['first']} to {found['last']} in "
        f"{_some(found['segments'], 'segment')}, the chain is unbroken"
    )
    typer.echo(f"    signed checkpoints that fit: {found['checkpoints']}")
    if found["pruned_through"]:
        typer.echo(f"    records 1 to {found['pruned_through']} were pruned, which is on record")
    for sequence in found["acknowledged"]:
        typer.echo(f"    a truncation was acknowledged by record {sequence}")
    if found["coalesced"]:
        typer.echo(f"    {found['coalesced']} refusals were counted instead of written")
    typer.echo(f"    head {found['head']}")
    if not found["checkpoints"]:
        print_note("without a checkpoint nobody could tell if the last records were cut off")


@app.command("acknowledge")
def acknowledge_(
    why: Annotated[str, typer.Option("--why", help="What is known about it.")],
    directory: Directory = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a log of which records are gone, which is recorded; the host must not run.

    A host refuses to start on a log that was removed, emptied, cut off or replaced since it signed
    how far it had come.
    """
    if directory is None:
        signed = acknowledge(state_directory(state), who=user(), why=why)
    else:
        signed = acknowledge_truncation(_log(directory, state), who=user(), why=why)
    sequence = None if signed is None else json.loads(signed)["sequence"]
    if as_json:
        typer.echo(json.dumps({"acknowledged": signed is not None, "record": sequence}))
    elif signed is None:
        typer.echo("nothing to acknowledge: the log is the one that was signed")
    else:
        typer.echo(f"acknowledged, and signed as record {sequence}; the log goes on behind it")


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="File to write; - for standard output.")],
    directory: Directory = None,
    kind: Annotated[Format, typer.Option("--format", help="jsonl or csv.")] = Format.JSONL,
    since: SinceOption = None,
    until: UntilOption = None,
    force: ForceOption = False,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Write records to a file; as jsonl they are byte for byte what the log holds."""
    records = _records(
        directory, state, since=_moment(since, "--since"), until=_moment(until, "--until")
    )
    if str(output) == "-":
        _write(records, sys.stdout, kind)
        return
    _need_free(output, force=force)
    with output.open("w" if force else "x", encoding="utf-8", newline="") as file:
        count = _write(records, file, kind)
    said = {"records": count, "file": str(output), "format": kind.value}
    typer.echo(json.dumps(said) if as_json else f"{_some(count, 'record')} written to {output}")


def _need_free(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise typer.BadParameter(f"{output} exists; --force replaces it", param_hint="OUTPUT")


@app.command()
def prune(
    directory: Directory = None,
    age: Annotated[
        str | None, typer.Option("--keep-age", help="Keep records of this span: 12h, 30d, 52w.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--keep-size", help="Keep so much: 500MiB, 10GiB, or bytes.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="File with the signing key; default: LOG.key.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Remove the oldest segments, after recording and signing that they go.

    The rest still verifies. A program that has its log open prunes it itself (OSL.prune_log).
    """
    directory = _log(directory, state)
    if age is None and size is None:
        raise typer.BadParameter("say what to keep", param_hint="--keep-age or --keep-size")
    retention = Retention(_span(age), _size(size))
    if dry_run:
        gone = plan_pruning(directory, retention)
    else:
        gone = prune_log(directory, retention, key=key)
    if as_json:
        typer.echo(json.dumps(None if gone is None else asdict(gone)))
    elif gone is None:
        typer.echo("nothing to remove: all of it is to be kept, or in the segment in use")
    else:
        verb = "would remove" if dry_run else "removed"
        typer.echo(
            f"{verb} records {gone.first} to {gone.through}: "
            f"{_some(gone.segments, 'segment')}, {size_text(gone.bytes)}"
        )


def _span(text: str | None) -> float | None:
    if text is None:
        return None
    span = SPAN.fullmatch(text)
    if not span:
        raise typer.BadParameter(
            f"{text!r} is no span: expected a number and s, m, h, d or w, such as 30d",
            param_hint="--keep-age",
        )
    return float(span[1]) * SECONDS[span[2]]


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    size = _SIZE.fullmatch(text)
    if not size:
        raise typer.BadParameter(
            f"{text!r} is no size: expected bytes, or a number and KiB, MiB or GiB, such as 10GiB",
            param_hint="--keep-size",
        )
    return int(float(size[1]) * _BYTES[size[2] or "B"])


@app.command()
def public_key(
    output: Annotated[Path, typer.Argument(help="File to write; by convention it ends in .pub.")],
    directory: Directory = None,
    force: ForceOption = False,
    state: State = None,
) -> None:
    """Write the public half of a log's key, for those who verify and shall not sign."""
    directory = _log(directory, state)
    _need_free(output, force=force)
    with output.open("wb" if force else "xb") as file:
        file.write(public_key_of(directory))
    typer.echo(f"public key written to {output}; verify with --key {output}")


def _write(records: Iterator[Record], file: TextIO, kind: Format) -> int:
    count = 0
    if kind is Format.CSV:
        writer = csv.writer(file)
        writer.writerow(["sequence", "time", *_COLUMNS])
    for record in records:
        count += 1
        if kind is Format.JSONL:
            file.write(record.raw.decode() + "\n")
        else:
            # A leading = + - @ would be a formula where a table is opened.
            cells = (_escape(str(getattr(record, name) or "")) for name in _COLUMNS)
            writer.writerow(
                [
                    record.sequence,
                    record.time,
                    *(f"'{cell}" if cell[:1] in tuple("=+-@") else cell for cell in cells),
                ]
            )
    return count


_COLUMNS = (
    "principal",
    "operation",
    "target",
    "decision",
    "rule",
    "enforcement",
    "session",
    "trace_id",
    "detail",
    "count",
)
