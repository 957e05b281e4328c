"""What a host's deployments are granted: given and taken back by name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from airssys.wasm.host_errors import HostClosed, InvalidSetting
from airssys.wasm.host_inputs import user
from airssys.wasm.security.suggestion import suggestion
from airssys.wasm.settings import moment_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from airssys.wasm.host_events import HostEvents
    from airssys.wasm.registry import Registry
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.grants import Granting
    from airssys.wasm.security.host_security import HostSecurity
    from airssys.wasm.serving import Serving

__all__ = ["HostRights"]

#: The last second, since 1970, that a moment with a zone can name: the end of the year 9999.
_LAST: Final = 253_402_300_799


class HostRights:
    """Grants to deployments and their ends. Every method may be called by any thread.

    Args:
        security: What decides about the deployments.
        registry: What is on record of them.
        serving: Returns the live side of a deployment.
        renew: Puts fresh instances in the place of all that a deployment has.
        events: Where it is told.
    """

    def __init__(
        self,
        security: HostSecurity,
        registry: Registry,
        serving: Callable[[str], Serving],
        renew: Callable[[str], None],
        events: HostEvents,
    ) -> None:
        self._security = security
        self._registry = registry
        self._serving = serving
        self._renew = renew
        self._events = events

    def grant(
        self,
        name: str,
        capabilities: Sequence[Granting] | None,
        *,
        who: str | None = None,
        why: str = "",
        until: dt.datetime | None = None,
        act_as: str | None = None,
        caller: str | None = None,
    ) -> tuple[Grant, ...]:
        """Grant capabilities to a deployment, or what it asks for and was not granted.

        Raises:
            InvalidSetting: The end has no time zone or is over; nothing has changed.
            StateWriteFailed: It could not be recorded; nothing has changed.
            PolicyError: One is no capability; nothing has changed.
        """
        revision = self._serving(name).revision
        if revision is None:
            raise HostClosed(f"deployment '{name}' was removed", name=name)
        if capabilities is None:
            capabilities = self._security.missing(name, revision.settings)
        end = moment_of(until)
        if end is not None and end <= time.time():
            raise InvalidSetting(
                f"a grant until {until} would be none, because that is over",
                hint="name a moment ahead",
            )
        if end is not None and end >= _LAST:
            raise InvalidSetting(
                f"a grant until {until} has no end that can be recorded",
                hint="leave `until` out for a grant without one",
            )
        made = self._security.grant(
            name,
            capabilities,
            who=who or user(),
            why=why,
            until=until,
            act_as=act_as,
            caller=caller,
        )
        if made:
            ids = [each.id for each in made]
            self._events.tell("granted", name, grants=ids, who=who or user(), why=why)
        return made

    def revoke(
        self,
        name: str,
        grants: Sequence[int] | None,
        *,
        wait: bool = False,
        who: str | None = None,
        why: str = "",
    ) -> tuple[Grant, ...]:
        """Take grants of a deployment back by their ids, or all of them; return those.

        With `wait` its instances are replaced too, and with them goes whatever they held.

        Raises:
            UnknownGrant: The deployment has no such grant; nothing has changed.
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        # Not in turn with deployments: a right that is taken back ends now.
        self._serving(name)
        revoked = self._security.revoke(name, grants, who=who or user(), why=why)
        if revoked:
            ids = [each.id for each in revoked]
            self._events.tell("revoked", name, grants=ids, who=who or user(), why=why)
        if wait and revoked:
            self._renew(name)
        return revoked

    def grants(self, name: str) -> tuple[Grant, ...]:
        """Return what is granted to a deployment, the oldest grant first."""
        self._serving(name)
        return self._security.grants(name)

    def suggest(self, name: str) -> str:
        """Return `[capabilities]` for what a deployment used while it was learning."""
        self._serving(name)
        audit = self._security.osl.audit
        audit.flush()
        revisions = {each.number: each for each in self._registry.revisions(name)}
        return suggestion(audit.directory, name, revisions)
