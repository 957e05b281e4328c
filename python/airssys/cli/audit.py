"""`airssys audit`: follow, search, verify and export the audit log."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from airssys.errors import AirsSysError
from airssys.osl.audit_log import Record, read_records, verify_log

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["app"]

app = typer.Typer(
    name="audit",
    help="Follow, search, verify and export the audit log.",
    no_args_is_help=True,
    add_completion=False,
)

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Format(Enum):
    """What `export` writes."""

    JSONL = "jsonl"
    CSV = "csv"


Directory = Annotated[
    Path,
    typer.Option(
        "--log", envvar="AIRSSYS_AUDIT", help="Directory of the log.", show_default="state/audit"
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
RuleOption = Annotated[str | None, typer.Option("--rule", help="The rule that decided.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="2026-01-31T12:00:00Z, or 15m, 2h, 7d ago.")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="As --since.")]
_DEFAULT = Path("state/audit")


def _fail(error: AirsSysError | OSError, *, as_json: bool) -> typer.Exit:
    if isinstance(error, AirsSysError):
        said = {"error": error.code, "message": error.message, **error.context}
    else:
        said = {"error": "os-error", "message": str(error)}
    if as_json:
        typer.echo(json.dumps(said, default=str), err=True)
    else:
        typer.echo(f"error: {_escape(str(said['message']))}", err=True)
    return typer.Exit(1)


def _moment(text: str | None, option: str) -> float | None:
    """Return UTC seconds for a moment or for how long ago it was."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    if span:
        now = dt.datetime.now(dt.UTC).timestamp()
        return now - float(span[1]) * _SECONDS[span[2]]
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no moment: expected 2026-01-31T12:00:00Z, or 15m, 2h, 7d",
            param_hint=option,
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return moment.timestamp()


def _escape(text: str) -> str:
    """Return text in which nothing can move a cursor, colour a line or forge another."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _line(record: Record) -> str:
    moment = dt.datetime.fromtimestamp(record.time, dt.UTC)
    parts = [
        f"{record.sequence:>8}",
        moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        f"{record.decision.upper():<8}",
        record.principal or "-",
        record.operation,
        record.target,
    ]
    if record.rule:
        parts.append(f"[{record.rule}]")
    if record.count:
        parts.append(f"x{record.count}")
    if record.detail:
        parts.append(record.detail)
    return _escape(" ".join(parts))


def _print(records: Iterator[Record], *, as_json: bool) -> None:
    for record in records:
        typer.echo(record.raw if as_json else _line(record))


@app.command()
def follow(
    directory: Directory = _DEFAULT,
    principal: WhoOption = None,
    operation: WhatOption = None,
    target: TargetOption = None,
    decision: DecisionOption = None,
    rule: RuleOption = None,
    last: Annotated[int, typer.Option("--last", help="Begin this many records back.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Print records as they are written, until interrupted."""
    try:
        records = read_records(
            directory,
            principal=principal,
            operation=operation,
            target=target,
            decision=decision,
            rule=rule,
            last=last,
            follow=True,
        )
        _print(records, as_json=as_json)
    except (AirsSysError, OSError) as error:
        raise _fail(error, as_json=as_json) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def search(
    directory: Directory = _DEFAULT,
    principal: WhoOption = None,
    operation: WhatOption = None,
    target: TargetOption = None,
    decision: DecisionOption = None,
    rule: RuleOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the records that match, oldest first."""
    try:
        records = read_records(
            directory,
            principal=principal,
            operation=operation,
            target=target,
            decision=decision,
            rule=rule,
            since=_moment(since, "--since"),
            until=_moment(until, "--until"),
            limit=limit,
        )
        _print(records, as_json=as_json)
    except (AirsSysError, OSError) as error:
        raise _fail(error, as_json=as_json) from None


@app.command()
def verify(
    directory: Directory = _DEFAULT,
    key: Annotated[
        Path | None,
        typer.Option(help="File with the public key, or the signing key; default: LOG.key."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A checkpoint kept elsewhere; a log behind it was truncated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain of hashes, the signatures of the checkpoints, and that nothing is missing."""
    try:
        found = verify_log(directory, key=key, checkpoint=checkpoint)
    except (AirsSysError, OSError) as error:
        raise _fail(error, as_json=as_json) from None
    if as_json:
        typer.echo(json.dumps({"ok": True, **found}, default=str))
        return
    typer.echo(f"ok: {found['records']} records, the chain is unbroken")
    for name, value in found.items():
        typer.echo(f"  {name}: {_escape(str(value))}")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="File to write; - for standard output.")],
    directory: Directory = _DEFAULT,
    kind: Annotated[Format, typer.Option("--format", help="jsonl or csv.")] = Format.JSONL,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: AsJson = False,
) -> None:
    """Write records to a file; as jsonl they are byte for byte what the log holds."""
    span: dict[str, Any] = {
        "since": _moment(since, "--since"),
        "until": _moment(until, "--until"),
    }
    try:
        records = read_records(directory, **span)
        if str(output) == "-":
            _write(records, sys.stdout, kind)
            return
        with output.open("w", encoding="utf-8", newline="") as file:
            count = _write(records, file, kind)
    except (AirsSysError, OSError) as error:
        raise _fail(error, as_json=as_json) from None
    said = {"records": count, "file": str(output), "format": kind.value}
    typer.echo(json.dumps(said) if as_json else f"{count} records written to {output}")


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


if __name__ == "__main__":
    app()
