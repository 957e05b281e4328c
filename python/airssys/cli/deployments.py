"""The commands that change and call deployments."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import msgspec
import typer

from airssys.cli import strategies
from airssys.cli.configuration import State, configuration
from airssys.cli.grants import directories
from airssys.cli.invoke import invoke, report
from airssys.cli.names import Name, is_served, using
from airssys.cli.output import Json, print_json, print_note, working
from airssys.cli.projects import component_and_name, content_of
from airssys.cli.review import may_be_granted
from airssys.cli.rollback import Why, live_of, report_on
from airssys.cli.watching import watch
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.manifest.component_manifest import Capabilities, MessagingRequest
from airssys.wasm.settings import settings_changed, settings_from

if TYPE_CHECKING:
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(deploy)
    app.command()(call)
    app.command()(remove)


def deploy(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A component, a script (.py, .js), or the folder of a project; by default the "
            "source in airssys.toml, else the project here.",
        ),
    ] = None,
    *,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The deployment, as image/resizer; by default as its manifest says.",
        ),
    ] = None,
    lifetime: Annotated[
        str | None,
        typer.Option(
            "--lifetime",
            help="call: an instance per call; pooled: reused ones; actor: one that takes messages. "
            "By default what the manifest says, else call.",
        ),
    ] = None,
    instances: Annotated[
        int | None,
        typer.Option("--instances", help="The most instances of a pooled deployment; 8 if unsaid."),
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option("--drain", help="Seconds that calls may go on when replaced; 30 if unsaid."),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", help="Earlier revisions that stay warm in a running host; 5 if unsaid."
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="SIZE", help="The most memory of an instance; 64MiB if unsaid."
        ),
    ] = None,
    call_timeout: Annotated[
        float | None,
        typer.Option("--call-timeout", help="The most seconds of a call; 30 if unsaid."),
    ] = None,
    cpu_per_call: Annotated[
        float | None,
        typer.Option("--cpu-per-call", help="The most processor seconds of a call; 10 if unsaid."),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="NAME=VALUE", help="A setting of it, JSON or text."),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec", metavar="NAME", help="How messages to an actor are written; as it accepts."
        ),
    ] = None,
    accepts: Annotated[
        list[str] | None,
        typer.Option(
            "--accepts", metavar="CODEC", help="A codec that an actor takes; all if none."
        ),
    ] = None,
    hand_over: Annotated[
        str | None,
        typer.Option(
            "--hand-over",
            metavar="HOW",
            help="The state of actors, when this takes over: none, snapshot, migrate.",
        ),
    ] = None,
    on_rollback: Annotated[
        str | None,
        typer.Option(
            "--on-rollback",
            metavar="RULE",
            help="The state it writes, when an earlier revision does: reverse, discard, refuse.",
        ),
    ] = None,
    may_send: Annotated[
        list[str] | None,
        typer.Option("--may-send", metavar="PATTERN", help="Whom an actor may tell and ask."),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Keep nothing that an earlier deploy said.")
    ] = False,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Let in a lower signed version.")
    ] = False,
    grant: Annotated[
        str | None,
        typer.Option(
            "--grant",
            metavar="WHAT",
            help="requested: grant what it asks for; none: no more than before. "
            "By default a person at the terminal is asked.",
        ),
    ] = None,
    mounts: Annotated[
        list[str] | None,
        typer.Option(
            "--mount",
            metavar="HOST::GUEST[:ro]",
            help="Show it a directory; what it may do there has to be granted.",
        ),
    ] = None,
    strategy: strategies.Kind = None,
    steps: strategies.Steps = None,
    step_duration: strategies.StepDuration = None,
    alpha: strategies.Alpha = None,
    min_calls: strategies.MinCalls = None,
    share: strategies.Share = None,
    then: strategies.Then = None,
    security_fix: strategies.SecurityFix = False,
    replay: strategies.Replayed = None,
    watched: Annotated[
        bool, typer.Option("--watch", help="Draw the rollout until it is over.")
    ] = False,
    why: Why = "",
    state: State = None,
    as_json: Json = False,
) -> int:
    """Make a component the live revision of a deployment; nothing changes where it is live.

    What no option says stays as an option of an earlier deploy said, else it is as
    `[deployments.NAME]` of the host's airssys.toml says, else as the component's own manifest does.

    What asks for more than it was granted shows the whole, what is new since a person approved it
    last, and what deserves a second look. A trusted component is granted what the policy allows.
    """
    if grant not in {None, "requested", "none"}:
        raise typer.BadParameter(f"--grant {grant!r}: expected requested or none")
    configured = configuration() if file is None and name is not None else None
    if configured is None or name is None or configured.entry(name) is None:
        file, name = component_and_name(file, name)
    asked = tuple(
        MessagingRequest(**{access: pattern})
        for pattern in may_send or ()
        for access in ("send", "ask")
    )
    limits = {"memory": memory, "call_timeout": call_timeout, "cpu_per_call": cpu_per_call}
    actor = {
        "codec": codec,
        "accepts": tuple(accepts) if accepts else None,
        "hand_over": hand_over,
        "rollback": on_rollback,
    }
    said: dict[str, Any] = {
        "lifetime": lifetime,
        "limits": _said(limits),
        "instances": instances,
        "drain": drain,
        "keep": keep,
        "actor": _said(actor),
        "config": None if config is None else dict(map(_setting, config)),
        "capabilities": Capabilities(messaging=asked) if asked else None,
        "mounts": None if mounts is None else directories(mounts),
        "replay": strategies.replay_of(replay),
    }
    settings_from(**said)  # or say what is wrong, before anything is opened
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
    with using(state, name, make=True) as host:
        before = live_of(host, name)
        settings = settings_from(**said)
        if before is not None and not anew:
            settings = settings_changed(before.settings, joined=True, **said)
        # Read once: what is reviewed is what is deployed.
        content = _content(host, file, name)
        review = host.review(
            content,
            name=name,
            settings=settings,
            allow_downgrade=allow_downgrade,
            inherited=not asked,
        )
        if asked or (grant is None and may_be_granted(review, as_json=as_json)):
            grant = "requested"
        granting = grant == "requested"
        with working(f"deploying {name if file is None else file.name}"):
            host.deploy_as(
                content,
                name,
                settings,
                why=why,
                allow_downgrade=allow_downgrade,
                grant=cast("Literal['requested', 'none'] | None", grant),
                approved=review.about if granting else None,
                strategy=how,
                inherited=not asked,
            )
        if watched:
            over = watch(host.deployment(name).rollout(), as_json=as_json)
            return 0 if over.state == "promoted" else 1
        report_on(host, name, before, as_json=as_json)
    return 0


def _content(host: BlockingHost | BlockingConnectedHost, file: Path | None, name: str) -> bytes:
    """Return the component: the file, or what airssys.toml names as the source."""
    if file is not None:
        return content_of(file)
    found = configuration()
    if found is None:
        raise InvalidSetting(
            f"nothing says which component '{name}' is",
            hint="name a file, or write an airssys.toml",
        )
    source = found.source(name)
    if isinstance(source, Path):
        return content_of(source)
    if is_served(host):
        raise InvalidSetting(
            f"{found.file} names a stored component, which only its own host can read",
            hint="name a file",
        )
    return host.stored(source)


def _said(options: dict[str, Any]) -> dict[str, Any] | None:
    """Return the options that were given, None for none."""
    return {key: value for key, value in options.items() if value is not None} or None


def _setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"--config {text!r}: expected NAME=VALUE")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def call(
    name: Name,
    function: Annotated[str, typer.Argument(metavar="CALL", help="As 'add(2, 3)'.")],
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    *,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="On whose behalf: while a rollout runs, one key meets one revision.",
        ),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Call a function of a deployment, and print what it returned."""
    if more:
        written = shlex.quote(f"{function}({', '.join(more)})")
        raise typer.BadParameter(
            f"a call is one argument, with its own in parentheses: {written}", param_hint="CALL"
        )
    with using(state, name) as host:
        if not is_served(host):
            deployment = host.deployment(name)
            make = deployment.call if key is None else partial(deployment.call_for, key)
            return invoke(deployment.component, function, make, as_json=as_json)
        found = host.call_text(name, function, key)
    return report(found.path, found.wave, found.value, found.error, found.failed, as_json=as_json)


def remove(name: Name, *, why: Why = "", state: State = None, as_json: Json = False) -> None:
    """End a deployment and delete its components; its history is kept."""
    with using(state, name) as host:
        host.deployment(name).remove(why=why)
    if as_json:
        print_json({"removed": name})
    else:
        print_note(f"removed {name}")
