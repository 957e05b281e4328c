"""Which commands there are; the module of each is imported when it is used.

A module of commands offers either `add_to(app)`, which adds its commands to an application, or
`app`, a group of commands under one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

import typer
from typer.main import get_group

from airssys.cli.plain_parameters import take_plainly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click import Command

__all__ = ["Commands"]

#: The module of each command, in the order of `airssys --help`.
_MODULES: Final = {
    "new": "new",
    "kit": "kit",
    "build": "build",
    "test": "test",
    "dev": "dev",
    "bindgen": "bindgen",
    "inspect": "components",
    "run": "components",
    "serve": "serve",
    "status": "status",
    "top": "top",
    "events": "events",
    "deploy": "deployments",
    "list": "history",
    "history": "history",
    "rollback": "rollback",
    "rollout": "rollouts",
    "plan": "rollouts",
    "diff": "rollouts",
    "lock": "operate",
    "unlock": "operate",
    "locks": "operate",
    "freeze": "operate",
    "thaw": "operate",
    "kill-all": "operate",
    "revive": "operate",
    "collect": "operate",
    "search": "operate",
    "backup": "operate",
    "restore": "operate",
    "call": "deployments",
    "remove": "deployments",
    "send": "messages",
    "ask": "messages",
    "actors": "actors",
    "logs": "logs",
    "keygen": "trust",
    "sign": "trust",
    "verify": "trust",
    "grants": "rights",
    "grant": "rights",
    "revoke": "rights",
    "approvals": "approvals",
    "approve": "approvals",
    "deny": "approvals",
    "doctor": "doctor",
    "trust": "trust",
    "kv": "kv",
    "audit": "audit",
    "manifest": "manifest",
    "policy": "policy",
}


class Commands(Mapping[str, "Command"]):
    """The commands by name, made when they are looked up."""

    def __getitem__(self, name: str) -> Command:
        module = import_module(f"airssys.cli.{_MODULES[name]}")
        app = typer.Typer(rich_markup_mode="markdown")
        if hasattr(module, "add_to"):
            module.add_to(app)
        else:
            app.add_typer(module.app, name=name)
        command = get_group(app).commands[name]
        take_plainly(command)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)
