"""What the operations of the control API work with."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from airssys.osl.context import Context
from airssys.server.uploads import Uploads
from airssys.wasm.host_errors import ComponentDamaged
from airssys.wasm.remote.errors import RoleNeeded, UnknownComponent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airssys.server.http import HttpFront
    from airssys.server.principals import Principal, Role
    from airssys.wasm.host import Host
    from airssys.wasm.host_core import HostCore

__all__ = ["Service"]

T = TypeVar("T")


class Service:
    """A host that is served.

    Args:
        host: It is open.
        patience: Seconds that a client which stalls has.

    Attributes:
        host: The host.
        patience: The same.
        uploads: Components that wait to be deployed.
        started: Since when, in seconds since 1970.
        process: The process that serves it.
        ending: Set when the server begins to end.
        front: Where requests from outside come in, once it listens.
    """

    def __init__(self, host: Host, patience: float) -> None:
        self.host = host
        self.patience = patience
        self.uploads = Uploads(host.directory / "uploads")
        self.started = time.time()
        self.process = os.getpid()
        self.ending = asyncio.Event()
        self.front: HttpFront | None = None
        self._refused: dict[str, float] = {}

    @property
    def core(self) -> HostCore:
        """What the host does, in blocking form."""
        return self.host._core  # noqa: SLF001 - the server is the host's own front

    def check_role(self, principal: Principal, role: Role, operation: str, target: str) -> None:
        """Refuse an operation to who has not the role that it needs, on record.

        Raises:
            RoleNeeded: It has not.
        """
        if role in principal.roles:
            return
        self.record(principal, operation, target, "deny", rule=f"role-{role}")
        raise RoleNeeded(
            f"'{principal.name}' has not the role '{role}', which this needs",
            hint="who runs the server gives roles to users and tokens",
            principal=principal.name,
            role=role,
        )

    def record(
        self,
        principal: Principal,
        operation: str,
        target: str,
        decision: str,
        *,
        rule: str = "",
        detail: str | None = None,
    ) -> None:
        """Put an operation into the audit log of the host, with who asked for it."""
        system = self.core.osl
        subject = system.subject_of(Context(principal.acting()))
        system.audit.record(
            subject, f"control.{operation}", target, decision, rule=rule, detail=detail
        )

    def record_refused(self, what: str, why: str) -> None:
        """Record a request that came from nobody who is known; of a flood one a second."""
        now = time.monotonic()
        if now - self._refused.get(what, 0.0) >= 1.0:
            self._refused[what] = now
            self.core.osl.audit.record(None, "control.connect", why, "deny", rule=what)

    async def component(self, digest: str) -> Path | bytes:
        """Return a component that was uploaded, or that a revision has.

        Raises:
            UnknownComponent: There is none of this digest, or not any more.
        """
        try:
            return self.uploads.find(digest)
        except UnknownComponent:
            try:
                return await self.in_thread(self.core.intake.stored, digest)
            except (ComponentDamaged, ValueError):
                pass
            raise

    async def in_thread(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call what waits for a disk."""
        return await asyncio.to_thread(function, *arguments, **named)
