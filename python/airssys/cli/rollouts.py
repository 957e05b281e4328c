"""The commands on rollouts: `rollout`, `plan` and `diff`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airssys.cli import strategies
from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import Name, using
from airssys.cli.output import Json, print_json, print_note, print_pairs, print_text, size_text
from airssys.cli.watching import describe, watch
from airssys.wasm.component_file import read_component
from airssys.wasm.host_errors import UnknownDeployment
from airssys.wasm.settings import settings_changed, settings_from

if TYPE_CHECKING:
    from airssys.wasm.delivery.interface import InterfaceDifference
    from airssys.wasm.delivery.plan import Plan, SettingChange
    from airssys.wasm.delivery.records import RolloutStatus

__all__ = ["add_to"]

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode="markdown",
        help="Show and steer the movement of a deployment to another revision.",
    )
    group.command()(status)
    group.command()(watch_rollout)
    for name, text in (
        ("pause", "Stay at the present weight; what is clearly worse is taken back all the same."),
        ("resume", "Go on with the present step, from its beginning."),
        ("promote", "Let the new revision take every call now, whatever the evidence says."),
        ("abort", "Take the new revision back now."),
    ):
        group.command(name, help=text)(_steering(name))
    group.command()(weight)
    app.add_typer(group, name="rollout")
    app.command()(plan)
    app.command()(diff)


def status(name: Name, *, state: State = None, as_json: Json = False) -> None:
    """Show where the last rollout is, with the verdict and its evidence."""
    with using(state, name) as host:
        found = host.deployment(name).rollout().status()
    _print(found, as_json=as_json)


def watch_rollout(name: Name, *, state: State = None, as_json: Json = False) -> int:
    """Draw a rollout until it is over; ends with 1 where the new revision was taken back."""
    with using(state, name) as host:
        found = watch(host.deployment(name).rollout(), as_json=as_json)
    return 0 if found.state == "promoted" else 1


watch_rollout.__name__ = "watch"


def _steering(what: str) -> Any:
    def steer(name: Name, *, why: Why = "", state: State = None, as_json: Json = False) -> None:
        with using(state, name) as host:
            found = getattr(host.deployment(name).rollout(), what)(why=why)
        _print(found, as_json=as_json)

    return steer


def weight(
    name: Name,
    percent: Annotated[float, typer.Argument(metavar="PERCENT", min=0, max=100, help="0 to 100.")],
    *,
    why: Why = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Give the new revision this share of the calls, and stay there until it is resumed."""
    with using(state, name) as host:
        found = host.deployment(name).rollout().set_weight(percent, why=why)
    _print(found, as_json=as_json)


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A component.")],
    *,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The deployment, as image/resizer.")
    ],
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Let in a lower signed version.")
    ] = False,
    strategy: strategies.Kind = None,
    steps: strategies.Steps = None,
    step_duration: strategies.StepDuration = None,
    alpha: strategies.Alpha = None,
    min_calls: strategies.MinCalls = None,
    share: strategies.Share = None,
    then: strategies.Then = None,
    security_fix: strategies.SecurityFix = False,
    replay: strategies.Replayed = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Say what deploying a component would change, and whether it would be refused.

    It is run and takes over as `deploy` without further options has it. Where the deployment keeps
    calls, they are made again on the component. A server keeps them in its memory: they are there
    while it runs. Ends with 1 where it would be refused.
    """
    said = strategies.replay_of(replay)
    how = strategies.strategy_of(
        strategy,
        steps=steps,
        step_duration=step_duration,
        alpha=alpha,
        min_calls=min_calls,
        share=share,
        then=then,
        security_fix=security_fix,
    )
    with using(state, name) as host:
        try:
            settings = host.deployment(name).revision.settings
        except UnknownDeployment:
            settings = settings_from()
        if said is not None:
            settings = settings_changed(settings, joined=True, replay=said)
        found = host.plan(
            read_component(file),
            name=name,
            settings=settings,
            strategy=how,
            allow_downgrade=allow_downgrade,
            inherited=True,
        )
    if as_json:
        print_json(found)
    else:
        _print_plan(found, replayed=replay in {"refuse", "warn"})
    return 0 if found.possible else 1


def diff(
    name: Name,
    before: Annotated[int, typer.Argument(metavar="REVISION", help="The one.")],
    after: Annotated[int, typer.Argument(metavar="REVISION", help="The other.")],
    *,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Say what differs between two revisions: the component, its interface, settings."""
    with using(state, name) as host:
        found = host.deployment(name).difference(before, after)
    if as_json:
        print_json(found)
        return
    if found.same_component:
        print_text("the same component")
    _print_changes(found.interface, found.settings)


def _print(found: RolloutStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_pairs(describe(found))


def _print_plan(found: Plan, *, replayed: bool) -> None:
    if found.to_revision is None:
        print_note(f"{found.deployment} is already at this component with these settings")
    before = "nothing" if found.from_revision is None else f"revision {found.from_revision}"
    after = before if found.to_revision is None else f"revision {found.to_revision}"
    limit = size_text(found.memory_limit)
    asked = [] if found.review is None else [each.place for each in found.review.missing]
    pairs = [
        ("deployment", f"{found.deployment}: {before} -> {after}"),
        ("component", f"{found.digest} ({size_text(found.size)})"),
        ("signed", "by a trusted key" if found.signed else "not by a trusted key"),
        ("memory", f"{size_text(found.memory)} at the start, {limit} at most"),
        ("dry run", "starts" if found.dry_run else "does not start"),
        ("not granted", ", ".join(asked) or "nothing"),
    ]
    if found.strategy is not None:
        pairs.insert(1, ("strategy", strategies.strategy_text(found.strategy)))
    if found.replay is not None:
        pairs.append(("recorded calls", str(found.replay)))
    elif replayed:
        pairs.append(("recorded calls", "none are kept: deploy with --replay"))
    if found.rollback_loses:
        pairs.append(("way back", f"loses {found.rollback_loses}"))
    print_pairs(pairs)
    _print_changes(found.interface, found.settings)
    for problem in found.problems:
        print_text(f"refused: {problem}")


def _print_changes(
    interface: InterfaceDifference | None, settings: tuple[SettingChange, ...]
) -> None:
    if interface is not None:
        print_text(
            "the interface is compatible"
            if interface.compatible
            else "the interface breaks callers"
        )
        for line in interface.lines():
            print_text(f"  {line}")
    for each in settings:
        print_text(f"  {each.name}: {each.before} -> {each.after}")
