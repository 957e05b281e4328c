"""The options that say how a new revision takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from airssys.wasm.delivery.strategies import strategy_from

if TYPE_CHECKING:
    from airssys.wasm.delivery.replay import Replay
    from airssys.wasm.delivery.strategies import Strategy

__all__ = [
    "Alpha",
    "Kind",
    "MinCalls",
    "Replayed",
    "SecurityFix",
    "Share",
    "StepDuration",
    "Steps",
    "Then",
    "replay_of",
    "strategy_of",
    "strategy_text",
]

Kind = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="blue-green, canary, rolling, shadow or recreate. With none of these options it is as "
        "airssys.toml of the host says, else blue-green; with any of them that counts for nothing.",
    ),
]
Steps = Annotated[
    str | None, typer.Option("--steps", metavar="PERCENTS", help="Of a canary: 1,5,25,50.")
]
StepDuration = Annotated[
    float | None,
    typer.Option("--step-duration", metavar="SECONDS", help="The least of every step."),
]
Alpha = Annotated[
    float | None,
    typer.Option("--alpha", help="How often a canary that is no worse is taken back: 0.001."),
]
MinCalls = Annotated[
    int | None,
    typer.Option("--min-calls", help="Calls without which a canary is not promoted."),
]
Share = Annotated[
    float | None,
    typer.Option("--share", metavar="PERCENT", help="Of a shadow: the calls that are copied."),
]
Then = Annotated[
    str | None,
    typer.Option("--then", metavar="WHAT", help="Of a good shadow: promote, or hold."),
]
SecurityFix = Annotated[
    bool, typer.Option("--security-fix", help="Hold a canary that fails; never go back.")
]

Replayed = Annotated[
    str | None,
    typer.Option(
        "--replay",
        metavar="WHAT",
        help="Keep calls and requests, and make them again on each new revision; where one is "
        "answered otherwise, refuse it or warn. off: keep none.",
    ),
]


def replay_of(what: str | None) -> Replay | None:
    """Return what the option says of recorded calls; None where it says nothing.

    Raises:
        BadParameter: It says something else.
    """
    if what is None:
        return None
    if what not in {"refuse", "warn", "off"}:
        raise typer.BadParameter(f"--replay {what!r}: expected refuse, warn or off")
    from airssys.wasm.delivery.replay import Replay  # noqa: PLC0415 - most commands keep none

    if what == "off":
        return Replay(calls=0)
    return Replay(on_difference=cast("Literal['refuse', 'warn']", what))


def strategy_of(
    kind: str | None,
    *,
    steps: str | None,
    alpha: float | None,
    min_calls: int | None,
    **more: object,
) -> Strategy | None:
    """Return the strategy that the options ask for; None where they ask for none.

    Raises:
        InvalidStrategy: There is none like that; the message names the field.
    """
    fields = {name: value for name, value in more.items() if value not in (None, False)}
    if steps is not None:
        fields["steps"] = steps.split(",")
    analysis = {"alpha": alpha, "min_calls": min_calls}
    judged = {name: value for name, value in analysis.items() if value is not None}
    if judged:
        fields["analysis"] = judged
    if kind is None and not fields:
        return None
    return strategy_from({"kind": kind or "canary", **fields})


def strategy_text(fields: dict[str, Any]) -> str:
    """Return a strategy in a line, from its fields."""
    said = []
    if "steps" in fields:
        said.append(" ".join(f"{step:g}%" for step in fields["steps"]))
    if "shares" in fields:
        said.append(f"{fields['shares']} shares")
    if "share" in fields:
        said.append(f"{fields['share']:g}% of the calls, then {fields['then']}")
    if "step_duration" in fields:
        said.append(f"{fields['step_duration']:g} s a step at least")
    if "wait" in fields:
        said.append(f"calls wait {fields['wait']:g} s")
    if fields.get("security_fix"):
        said.append("a security fix")
    return f"{fields['kind']}{': ' if said else ''}{', '.join(said)}"
