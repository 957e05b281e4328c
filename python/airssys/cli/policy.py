"""`airssys policy`: check policy files, and say what they decide."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from airssys.cli.access import AccessText, read_access, resolved
from airssys.cli.configuration import State, configuration, state_directory
from airssys.cli.configuration import policy as policy_files
from airssys.cli.explanation import print_explanation
from airssys.cli.names import connected
from airssys.cli.output import Json, print_json, print_text
from airssys.osl import OSL, Context, Policy, Principal
from airssys.osl.explain import Explained, explain_access
from airssys.osl.operation import Permission
from airssys.osl.policy.source import PolicySource
from airssys.wasm.host_errors import StateDirectoryError, UnknownDeployment
from airssys.wasm.security.explaining import (
    Told,
    explain_deployed,
    find_deployed,
    needed_rule,
)
from airssys.wasm.state_directory import open_registry

__all__ = ["app"]

app = typer.Typer(
    name="policy",
    help="Check policy files, and say what they decide.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Policy files; several are merged.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Check policy files together; errors name file, line and column."""
    policy = PolicySource(files).check()
    counted = {"rules": len(policy.rules), "acls": len(policy.acls), "roles": len(policy.roles)}
    until = policy.observe_until
    if as_json:
        print_json(
            {
                "ok": True,
                "files": [str(file) for file in files],
                **counted,
                "enforcement": policy.enforcement.value,
                "observe_until": until.isoformat() if until is not None else None,
            }
        )
        return
    counts = ", ".join(f"{count} {name}" for name, count in counted.items() if count)
    print_text(f"ok: {counts or 'no rules: everything is denied'}")
    ends = f" until {until.isoformat()}" if until is not None else ""
    print_text(f"    enforcement {policy.enforcement.value}{ends}")


@app.command()
def explain(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A deployment, or with --policy a principal.")
    ],
    access: AccessText,
    *,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="A policy of the host, by default that of airssys.toml; may be repeated.",
        ),
    ] = None,
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="A role that a principal holds besides."),
    ] = None,
    attributes: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="NAME=TEXT", help="What conditions look at."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="IP", help="What the host name leads to."),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Say how an access would be decided, by which rule, and what it would need.

    ACCESS is a kind, an access and a target: 'http GET https://example.com/v1',
    'filesystem read /data/x', 'messaging ask image/resizer'. Nothing is done or recorded.

    Of a deployment, paths are those that the component sees, and what it asks for and was granted
    counts together with the policy; a server that runs answers by what is in force in it. Anybody
    else needs --policy.
    """
    wanted = read_access(access)
    host = None if files or roles or attributes else connected(state)
    if host is not None:
        with host:
            found = host.explain(name, wanted, address=address)
        explained = Explained(
            Permission(found.kind, found.access, found.target),
            found.effect,
            found.rule,
            found.reason,
            found.position,
            found.considered,
        )
        print_explanation(name, explained, needed=found.needed, seen=found.seen, as_json=as_json)
        return
    registry = None
    with contextlib.suppress(StateDirectoryError):
        registry = open_registry(state_directory(state))
    with contextlib.ExitStack() as closing:
        deployed = None
        if registry is not None:
            closing.enter_context(contextlib.closing(registry))
            deployed = find_deployed(registry, name)
        if deployed is None and not files:
            raise UnknownDeployment(
                name, [] if registry is None else [each.name for each in registry.deployments()]
            )
        if deployed is not None and (roles or attributes):
            raise typer.BadParameter(
                f"{name} is a deployment, which has no roles and attributes but its own"
            )
        if deployed is not None and not files:
            files = policy_files() or _policy_of_project()
        folder = closing.enter_context(tempfile.TemporaryDirectory())
        system = closing.enter_context(
            OSL(policy=files or Policy(), audit=Path(folder) / "audit", development=True)
        )
        if deployed is not None:
            told = explain_deployed(system, deployed, wanted, ceiling=bool(files), address=address)
        else:
            principal = Principal(name, frozenset(roles or ()), _attributes(attributes or []))
            wanted = resolved(wanted)
            subject = system.subject_of(Context(principal))
            explained = explain_access(system.gate, subject, wanted, address=address)
            told = Told(explained, needed_rule(name, explained), None)
    print_explanation(name, told.explained, needed=told.needed, seen=told.seen, as_json=as_json)


def _policy_of_project() -> list[Path] | None:
    found = configuration()
    return None if found is None else found.policy


def _attributes(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"--attribute {text!r}: expected NAME=TEXT")
        found[name] = value
    return found
