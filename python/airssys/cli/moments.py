"""Moments, as they are written on the command line.

A moment without a time zone is one of the machine's, as for `journalctl`.
"""

from __future__ import annotations

import datetime as dt
import re

import typer

__all__ = ["AHEAD", "BACK", "SECONDS", "SPAN", "moment", "span"]

#: What the help of an option says that takes a moment.
BACK = "2026-01-31T12:00, in local time unless it ends in Z or a zone; or 15m, 2h, 7d ago"
AHEAD = "2026-01-31T12:00, in local time unless it ends in Z or a zone; or in 15m, 2h, 7d"

SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: str, option: str, *, ahead: bool = False) -> dt.datetime:
    """Read a moment, or how long ago it was; with `ahead` how long from now it is.

    Raises:
        BadParameter: It is neither, or with `ahead` over.
    """
    found = _read(text, option, ahead=ahead)
    if ahead and found <= dt.datetime.now(dt.UTC):
        raise typer.BadParameter(f"{text!r} is not ahead: that is over", param_hint=option)
    return found


def _read(text: str, option: str, *, ahead: bool) -> dt.datetime:
    span = SPAN.fullmatch(text)
    if span:
        now = dt.datetime.now(dt.UTC)
        try:
            distance = dt.timedelta(seconds=float(span[1]) * SECONDS[span[2]])
            return now + distance if ahead else now - distance
        except OverflowError:
            raise typer.BadParameter(
                f"{text!r} is beyond the calendar, which has the years 1 to 9999",
                param_hint=option,
            ) from None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no moment: expected 2026-01-31T12:00, or 15m, 2h, 7d",
            param_hint=option,
        ) from None
    return found.astimezone()


def span(text: str, option: str) -> float:
    """Read how long something is: `30d`, `12h`, `0`; return seconds.

    Raises:
        BadParameter: It says nothing of the kind.
    """
    found = SPAN.fullmatch(text)
    if text != "0" and not found:
        raise typer.BadParameter(
            f"{text!r} is no span of time: expected 30d, 12h or 0", param_hint=option
        )
    return 0.0 if found is None else float(found[1]) * SECONDS[found[2]]
