"""A rollout as it is drawn at the terminal."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

from airssys.cli.output import escaped, print_json, print_note, print_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airssys.wasm.delivery import BlockingRollout
    from airssys.wasm.delivery.records import RolloutStatus
    from airssys.wasm.remote.rollout import BlockingConnectedRollout

__all__ = ["describe", "watch"]

#: Seconds between two looks while it is drawn.
_INTERVAL: Final = 0.5
_BAR: Final = 40


def describe(found: RolloutStatus) -> list[tuple[str, str]]:
    """Return a rollout as names and texts."""
    steps = " ".join(
        f"[{step:.0%}]" if place == found.step and not found.over else f"{step:.0%}"
        for place, step in enumerate(found.steps)
    )
    pairs = [
        ("rollout", f"{found.deployment}: {found.from_revision} -> {found.to_revision}"),
        ("strategy", f"{found.strategy} {steps}".strip()),
        ("state", f"{found.state} at {found.weight:.1%}"),
        ("why", found.why or "-"),
        ("calls", f"{found.calls[0]} live, {found.calls[1]} new"),
        ("p50, p99", f"{_times(found.p50[0], found.p99[0])} live"),
        ("", f"{_times(found.p50[1], found.p99[1])} new"),
    ]
    if found.copies is not None:
        pairs.append(("copies", f"{found.copies[0]} compared, {found.copies[1]} left out"))
    if found.judgement is not None:
        pairs.append(("verdict", f"{found.judgement.verdict}: {found.judgement.why}"))
        for each in found.judgement.evidence:
            bad = f"bad {each.bad[0]}/{each.calls[0]} live, {each.bad[1]}/{each.calls[1]} new"
            worse, better = min(each.worse, 1.0), min(each.better, 1.0)
            needed = f"worse {worse:.0%}, good {better:.0%} of what a verdict needs"
            pairs.append((each.signal, f"{bad}; {needed}"))
        pairs.append(("alpha", f"{found.judgement.alpha:g} over all signals and looks"))
    return pairs


def _times(middle: float, most: float) -> str:
    return f"{middle * 1000:.3g} ms, {most * 1000:.3g} ms"


def watch(
    rollout: BlockingRollout | BlockingConnectedRollout, *, as_json: bool = False
) -> RolloutStatus:
    """Show a rollout until it is over; return its last status.

    At a terminal it is drawn; else each step is a line, as JSON where that is asked for. Ctrl-C
    ends the watching alone.
    """
    try:
        return _watched(rollout, as_json=as_json)
    except KeyboardInterrupt:
        print_note("the rollout goes on where a server runs; `airssys rollback` takes it back")
        raise


def _watched(
    rollout: BlockingRollout | BlockingConnectedRollout, *, as_json: bool
) -> RolloutStatus:
    if as_json or not sys.stdout.isatty():
        _tell_beginning(rollout.status())
        for step in rollout.events():
            if as_json:
                print_json(step)
            else:
                print_text(
                    f"{step.at:%H:%M:%S} {step.kind} {step.state} at {step.weight:.1%}"
                    f" by {step.who} {step.why}".rstrip()
                )
            sys.stdout.flush()
        return rollout.status()
    from rich.live import Live  # noqa: PLC0415 - most commands draw nothing

    over = threading.Event()
    with Live(_drawn(rollout.status()), auto_refresh=False) as live:
        while True:
            found = rollout.status()
            live.update(_drawn(found), refresh=True)
            if found.over:
                return found
            over.wait(_INTERVAL)


def _tell_beginning(found: RolloutStatus) -> None:
    """Say what is waited for: a step may be long in coming, and without calls none comes."""
    moving = f"{found.deployment}: {found.from_revision} -> {found.to_revision}, {found.strategy}"
    said = f"{moving} {found.state} at {found.weight:.1%}"
    if found.judgement is not None:
        said += "; steps end on the evidence of calls"
    print_note(said if found.over else f"{said}; each is told as it is taken")


def _drawn(found: RolloutStatus) -> RenderableType:
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    filled = round(found.weight * _BAR)
    table.add_row("weight", Text("█" * filled + "░" * (_BAR - filled)))
    for name, text in describe(found):
        table.add_row(name, Text(escaped(text)))
    return table
