"""`airssys policy`: check policy files, and say what they decide."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from airssys.cli.access import AccessText, read_access
from airssys.cli.explanation import print_explanation
from airssys.cli.output import Json, print_json, print_text
from airssys.osl import OSL, Context, Principal
from airssys.osl.explain import Explained, explain_access
from airssys.osl.policy.source import PolicySource

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
        list[Path],
        typer.Option(
            "--policy", metavar="FILE", help="Decide by this policy file alone; may be repeated."
        ),
    ],
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="A role that the principal holds besides."),
    ] = None,
    attributes: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="NAME=TEXT", help="What conditions look at."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="IP", help="What the host name leads to."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how an access would be decided, by which rule, and what it would need.

    ACCESS is a kind, an access and a target: 'http GET https://example.com/v1',
    'filesystem read /data/x', 'messaging ask image/resizer'. Nothing is done or recorded.
    """
    wanted = read_access(access)
    principal = Principal(name, frozenset(roles or ()), _attributes(attributes or []))
    with (
        tempfile.TemporaryDirectory() as folder,
        OSL(policy=files, audit=Path(folder) / "audit", development=True) as system,
    ):
        subject = system.subject_of(Context(principal))
        explained = explain_access(system.gate, subject, wanted, address=address)
    print_explanation(name, explained, needed=_needed(name, explained), as_json=as_json)


def _attributes(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"--attribute {text!r}: expected NAME=TEXT")
        found[name] = value
    return found


def _needed(name: str, explained: Explained) -> str | None:
    """Return the rule that would allow what nothing allows; `None` where that is not the point."""
    if explained.rule != "default-deny":
        return None
    permission = explained.permission
    return (
        "[[rule]]\n"
        f'to = ["{name}"]\n'
        f'kind = "{permission.kind}"\n'
        f'access = ["{permission.access}"]\n'
        f'target = ["{os.fspath(permission.target)}"]'
    )
