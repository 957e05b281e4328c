"""The one gate and the one log of a host, and what its deployments ask for and were granted."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airssys.errors import AirsSysError
from airssys.osl import PolicyError
from airssys.wasm._native import Subject
from airssys.wasm.blobs import digest_of
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import Limits
from airssys.wasm.security.approval_desk import ApprovalDesk
from airssys.wasm.security.asking import missing_of
from airssys.wasm.security.checkpoints import CheckpointKeeper
from airssys.wasm.security.deployment_rights import DeploymentRights, RightsTable
from airssys.wasm.security.errors import UnknownGrant
from airssys.wasm.security.grants import Granting, GrantRecords
from airssys.wasm.security.hints import DenialHints
from airssys.wasm.security.mounts import guest_pattern, literal
from airssys.wasm.security.review import ApprovalsOfRequests, Reviewed, review_of
from airssys.wasm.security.rules import ANSWERED, HeldGrant
from airssys.wasm.security.watch import RegistryWatch
from airssys.wasm.trust.signature import subject_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from airssys.osl import ApprovalRequest
    from airssys.wasm._native import Gate
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import DeploymentRecord, Settings
    from airssys.wasm.secrets import SecretSource
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.grants import Told
    from airssys.wasm.security.review import Review
    from airssys.wasm.security.security_settings import SecuritySettings

__all__ = ["BY_FILE", "HostSecurity"]

_AUDIT_RECORDS: Final = Limits().audit_records_per_second
_TOLD: Final[tuple[Told, ...]] = ("grant", "revoke")
_log: Final = logging.getLogger("airssys.wasm")
#: Why something is granted that nobody typed.
BY_FILE: Final = "the operator's file says so"


class HostSecurity:
    """Decides what the deployments of a host may do: requested, granted and within policy.

    The rules of each are compiled apart, and a change of any is one load of its own. Safe to use
    from several threads.

    Args:
        settings: By what it decides.
        state: The state directory, which nobody may touch.
        registry: The open registry of the state directory.

    Attributes:
        osl: The system whose gate decides and whose log records.
    """

    def __init__(self, settings: SecuritySettings, state: Path, registry: Registry) -> None:
        self._owned = settings.osl is None
        self._secrets = settings.secrets
        self._ceiling = settings.osl is not None or settings.policy is not None
        self._records = GrantRecords(registry)
        self._reviews = ApprovalsOfRequests(registry)
        self._registry = registry
        self._deployments = RightsTable()
        # Held while grants change and until that is in force.
        self._one_change = threading.Lock()
        self._desk = ApprovalDesk(registry, settings.approval_timeout, settings.approver)
        self._hints: DenialHints | None = None
        self._checkpoints: CheckpointKeeper | None = None
        self.osl = settings.open(state, registry, self._desk)
        try:
            if not self._owned:
                self.osl.gate.reserve(state)
            self.osl.govern(self)
            if self.osl.development:
                log = self.osl.audit
                self._hints = DenialHints(log.directory, log.sequence, self._deployments.mounts)
            if self._owned:
                self._checkpoints = CheckpointKeeper(self.osl)
        except BaseException:
            if self._owned:
                self.osl.close()
            raise
        if self._owned:
            self.osl.approvals.granted = self._answered
        self._replace: weakref.WeakMethod[Callable[[str], None]] | None = None
        self._watch = RegistryWatch(registry, self._changed_elsewhere)

    @property
    def gate(self) -> Gate:
        """The gate that decides."""
        return self.osl.gate

    @property
    def secrets(self) -> SecretSource | None:
        """Where the values of secrets come from, if from anywhere."""
        return self._secrets

    def known_secrets(self) -> tuple[str, ...]:
        """Return the values of secrets that can be listed, to keep them from being shown."""
        source = self._secrets
        values = source.values() if isinstance(source, Mapping) else ()
        return tuple(
            each if isinstance(each, str) else each.decode(errors="replace") for each in values
        )

    @property
    def ceiling(self) -> bool:
        """Whether a policy was given, beyond which no grant is worth anything."""
        return self._ceiling

    def rules(self, name: str) -> Sequence[dict[str, Any]]:
        """Return what a deployment asks for and was granted, as rules."""
        return self._deployments.rules(name)

    def subject(self, name: str, number: int, settings: Settings) -> Subject:
        """Return what instances of a revision act as."""
        # Settings that were recorded before there was such a limit have its default.
        pace = int(settings.limits.get("audit_records_per_second", _AUDIT_RECORDS))
        return Subject(
            name,
            namespace=namespace_of(name),
            deployment=name,
            revision=number,
            enforcement=settings.enforcement,
            observe_until=settings.observe_until,
            audit_rate=float(pace),
            audit_burst=pace,
            guest=True,
        )

    def check(self, settings: Settings) -> None:
        """Refuse settings that this host does not run.

        Raises:
            InvalidSetting: Learning, on a host that is not for development.
        """
        if settings.enforcement == "learn" and not self.osl.development:
            raise InvalidSetting(
                "enforcement 'learn' is for development hosts",
                hint="pass development=True to Host.open if this is one",
            )

    def restore(self, live: Iterable[tuple[DeploymentRecord, Settings]]) -> None:
        """Put the rights of the deployments that are brought back in force, in one step."""
        granted = self._records.of_all()
        table = self._deployments
        with table.lock:
            for record, settings in live:
                grants = self._records.read(record.name, record.id, granted.get(record.id, ()))
                rights = DeploymentRights(record.name, record.id, grants)
                rights.add(record.live, settings)
                table.by_name[record.name] = rights
            names = [rights.name for rights in table.by_name.values() if rights.needs]
        self.osl.reload_components(names)
        # What was written while no host was open belongs in the log before anything rests on it.
        self.refresh()

    def _answered(self, request: ApprovalRequest, who: str) -> None:
        """Grant a deployment for good the right that it asked for and somebody gave it."""
        permission, context = request.permission, request.context
        with self._deployments.lock:
            rights = self._deployments.by_name.get(context.principal.name)
            seen = [] if rights is None else [each.mounts for each in rights.revisions.values()]
        callers = [caller.name for caller in context.callers]
        if rights is None or len(callers) > 1:
            # It is no deployment's, or of a chain that no grant can name: the answer is for now.
            return
        target: str | None = permission.target
        if permission.kind == "filesystem":
            shown = (guest_pattern(permission.target, mounts) for mounts in seen)
            target = next((each for each in shown if each is not None), None)
        elif literal(permission.target) != permission.target:
            # As a pattern it would be more than what was approved.
            target = None
        if target is not None:
            wanted = Granting(permission.kind, (permission.access,), target, {}, ANSWERED)
            caller = callers[0] if callers else None
            self._add(rights, [wanted], who=who, why=request.reason or "", caller=caller)

    def replace_with(self, replace: Callable[[str], None]) -> None:
        """Say what puts fresh instances in the place of all that a deployment has; held weakly."""
        self._replace = weakref.WeakMethod(replace)

    def _changed_elsewhere(self) -> None:
        self._desk.look()
        self.refresh()
        # What instances hold of the rights that were taken back ends with them. It takes as long
        # as their calls, so whoever looks at the database does not wait for it.
        names = self._deployments.names()
        for identity, grants in self._records.to_replace().items():
            if (name := names.get(identity)) is not None:
                self._records.set_told(grants, "replacing")
                threading.Thread(
                    target=self._replaced, args=(name, grants), name="airssys-replace", daemon=True
                ).start()

    def _replaced(self, name: str, grants: Sequence[int]) -> None:
        replace = None if self._replace is None else self._replace()
        try:
            if replace is not None:
                replace(name)
            self._records.set_told(grants, "replaced")
        except (AirsSysError, sqlite3.Error):
            # The host is closing, or its disk is full: with it the instances end.
            _log.warning("the instances of '%s' are not replaced", name, exc_info=True)

    def refresh(self) -> None:
        """Take up what other processes granted and revoked: recorded, then in force.

        Raises:
            PolicyError: What was granted cannot be put in force; it is revoked again, and whatever
                was revoked is without effect.
        """
        with self._one_change:
            names = self._deployments.names()
            changes = self._records.untold(names)
            if not changes:
                return
            for change in changes:
                self._tell(change.what, change.grant, change.who, change.why)
            concerned = {change.grant.deployment_id for change in changes}
            changed = [names[each] for each in concerned]
            self._read_again(concerned)
            try:
                self.osl.reload_components(changed)
            except PolicyError:
                made = [each.grant for each in changes if each.what == "grant"]
                self._records.revoke(made, who="host", why="it could not be put in force")
                self._read_again(concerned)
                self.osl.reload_components(changed)
                raise
            for what in _TOLD:
                self._records.set_told([c.grant.id for c in changes if c.what == what], what)

    def _read_again(self, identities: Collection[int]) -> None:
        granted = self._records.of_all()
        with self._deployments.lock:
            for rights in self._deployments.by_name.values():
                if rights.known_identity in identities:
                    held = {each.grant.id: each for each in rights.grants}
                    found = granted.get(rights.identity, ())
                    grants = self._records.read(rights.name, rights.identity, found)
                    rights.grants = [held.get(each.id) or HeldGrant.of(each) for each in grants]

    @contextlib.contextmanager
    def admitting(
        self,
        name: str,
        number: int,
        settings: Settings,
        *,
        grant: bool,
        filed: Collection[str] = (),
        who: str,
        why: str,
    ) -> Iterator[tuple[int | None, threading.Event]]:
        """Give a revision its rights before it runs; take them back unless it is kept.

        Args:
            name: The deployment, which need not exist yet.
            number: The revision.
            settings: How it is run.
            grant: Grant what it asks for and has not been granted.
            filed: The places of what the operator's file grants of it in any case.
            who: Who grants it.
            why: The reason.

        Yields:
            The deployment's id where it has one already, and an event which says that the revision
            is kept.
        """
        kept = threading.Event()
        granted: tuple[Grant, ...] = ()
        table = self._deployments
        with table.lock:
            rights = table.by_name.get(name)
            new = rights is None
            if rights is None:
                # Set aside where something is recorded for it; else it comes with the deployment.
                named = settings.capabilities or settings.config
                aside = self._registry.identity(name) if named else None
                rights = DeploymentRights(name, aside)
                table.by_name[name] = rights
            known = number in rights.revisions
            rights.add(number, settings)
        try:
            missing = self._missing(rights, settings) if grant or filed else []
            if not grant:
                missing = [each for each in missing if each.place in filed]
            if missing:
                why = why if grant else BY_FILE
                granted = self._add(rights, missing, who=who, why=why)
            if rights.needs and not granted:
                self.osl.reload_components([name])
            yield rights.known_identity, kept
        finally:
            if not kept.is_set():
                with table.lock:
                    if not known:
                        rights.keep(rights.revisions.keys() - {number})
                    if new:
                        del table.by_name[name]
                if granted:
                    self._drop(rights, granted, who=who, why="it was not deployed")
                else:
                    self.osl.reload_components([name])

    def identify(self, name: str, identity: int) -> None:
        """Say which id a deployment was given, before anything is granted to it."""
        self._deployments.rights(name).identity = identity

    def about(self, content: bytes) -> Reviewed:
        """Return what an approval of a component is about.

        Raises:
            SignatureUnusable: It carries two manifests.
        """
        binary = content.startswith(b"\0asm")
        component, manifest = subject_of(content) if binary else (digest_of(content), "")
        return Reviewed(component, manifest, self.osl.policy_digest)

    def review(
        self,
        name: str,
        settings: Settings,
        content: bytes,
        *,
        trusted: bool,
        filed: Collection[str] = (),
    ) -> Review:
        """Return what somebody who deploys a component should know about what it asks for.

        Args:
            name: The deployment.
            settings: As which it would be deployed.
            content: The component.
            trusted: Whether a key that counts for the name signed it.
            filed: The places of the requests that the operator's file grants.
        """
        with self._deployments.lock:
            rights = self._deployments.by_name.get(name)
        known = None if rights is None else rights.known_identity
        return review_of(
            name,
            settings,
            self.about(content),
            grants=() if rights is None else self.grants(name),
            approved=None if known is None else self._reviews.last(known),
            trusted=trusted,
            ceiling=self._ceiling,
            filed=filed,
        )

    def record_approval(
        self, name: str, about: Reviewed, settings: Settings, *, who: str, why: str
    ) -> None:
        """Record that what a component asks for was approved, for it and this policy.

        Raises:
            StateWriteFailed: It could not be recorded.
        """
        if settings.capabilities is None:
            return
        identity = self._deployments.rights(name).identity
        self._reviews.add(identity, about, settings, who=who, why=why)
        digests = " ".join(f"{part} {digest}" for part, digest in about._asdict().items() if digest)
        detail = f"by {who}" + (f": {why}" if why else "") + f"; {digests}"
        self.osl.audit.record(None, "component.approve", name, "done", detail=detail)

    def tell_admission(self, name: str, digest: str, decision: str, rule: str) -> None:
        """Record that a component was let in or kept out."""
        self.osl.audit.record(None, "component.admit", f"{name}: {digest}", decision, rule=rule)

    def grant_requested(
        self,
        name: str,
        settings: Settings,
        places: Collection[str] | None,
        *,
        who: str,
        why: str,
    ) -> None:
        """Grant what a live revision asks for and has not been granted: all, or at these places."""
        missing = self.missing(name, settings)
        if places is not None:
            missing = [each for each in missing if each.place in places]
        if missing:
            self._add(self._deployments.rights(name), missing, who=who, why=why)

    def missing(self, name: str, settings: Settings) -> list[Granting]:
        """Return what a revision asks for and its deployment has not been granted for good."""
        return self._missing(self._deployments.rights(name), settings)

    def grant(
        self,
        name: str,
        capabilities: Sequence[Granting],
        *,
        who: str,
        why: str,
        until: dt.datetime | None,
        act_as: str | None,
        caller: str | None,
    ) -> tuple[Grant, ...]:
        """Grant capabilities to a deployment, none for nothing: recorded, then in force.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
            AirsSysError: The audit log fails; nothing has changed.
            PolicyError: One is no capability; nothing has changed.
        """
        rights = self._deployments.rights(name)
        if not capabilities:
            return ()
        return self._add(
            rights, capabilities, who=who, why=why, until=until, act_as=act_as, caller=caller
        )

    def revoke(
        self, name: str, ids: Sequence[int] | None, *, who: str, why: str
    ) -> tuple[Grant, ...]:
        """Take grants back, or all: recorded, then without effect for all that is open too.

        Raises:
            UnknownGrant: The deployment has no such grant; nothing has changed.
            StateWriteFailed: It could not be recorded; nothing has changed.
            AirsSysError: The audit log fails; they are revoked, and the next host's log tells it.
        """
        held = {grant.id: grant for grant in self.grants(name)}
        for number in ids or ():
            if number not in held:
                raise UnknownGrant(name, number, list(held.values()))
        chosen = tuple(held.values() if ids is None else [held[number] for number in ids])
        if chosen:
            self._drop(self._deployments.rights(name), chosen, who=who, why=why)
        return chosen

    def grants(self, name: str) -> tuple[Grant, ...]:
        """Return what is granted to a deployment, the oldest grant first."""
        rights = self._deployments.rights(name)
        with self._deployments.lock:
            held = rights.grants
            return tuple(
                each.grant for each in held if each.remaining is None or each.remaining > 0
            )

    def keep(self, name: str, numbers: Collection[int]) -> None:
        """Forget the requests of revisions that do not run any more; nothing is in force less."""
        rights = self._deployments.rights(name)
        with self._deployments.lock:
            rights.keep(numbers)

    def forget(self, name: str, *, who: str, why: str) -> None:
        """Revoke everything that a deployment has, which is gone."""
        with self._deployments.lock:
            rights = self._deployments.by_name.pop(name)
        if rights.grants:
            self._drop(rights, [each.grant for each in rights.grants], who=who, why=why)
        else:
            self.osl.reload_components([name])

    def close(self) -> None:
        """Decide about no components any more; an own log is closed."""
        self._watch.close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        if self._hints is not None:
            self._hints.close()
        if self._owned:
            self.osl.close()
        else:
            self.osl.govern(None)

    def _missing(self, rights: DeploymentRights, settings: Settings) -> list[Granting]:
        with self._deployments.lock:
            held = [each.grant for each in rights.grants]
        return missing_of(settings, held)

    def _add(
        self,
        rights: DeploymentRights,
        capabilities: Sequence[Granting],
        *,
        who: str,
        why: str,
        until: dt.datetime | None = None,
        act_as: str | None = None,
        caller: str | None = None,
    ) -> tuple[Grant, ...]:
        with self._one_change:
            made = self._records.add(
                rights.name,
                rights.identity,
                capabilities,
                who=who,
                why=why,
                until=until,
                act_as=act_as,
                caller=caller,
            )
            before = rights.grants
            try:
                for grant in made:
                    self._tell("grant", grant, who, why)
                with self._deployments.lock:
                    rights.grants = [*before, *map(HeldGrant.of, made)]
                self.osl.reload_components([rights.name])
            except BaseException:
                with self._deployments.lock:
                    rights.grants = before
                self._records.revoke(made, who=who, why="it could not be put in force")
                raise
            self._records.set_told([grant.id for grant in made], "grant")
        return made

    def _drop(
        self, rights: DeploymentRights, grants: Sequence[Grant], *, who: str, why: str
    ) -> None:
        gone = {grant.id for grant in grants}
        with self._one_change:
            self._records.revoke(grants, who=who, why=why)
            try:
                for grant in grants:
                    self._tell("revoke", grant, who, why)
            finally:
                # A log that fails keeps no right in force; the next host tells it.
                with self._deployments.lock:
                    rights.grants = [each for each in rights.grants if each.grant.id not in gone]
                self.osl.reload_components([rights.name])
            self._records.set_told([grant.id for grant in grants], "revoke")

    def _tell(self, what: str, grant: Grant, who: str, why: str) -> None:
        """Record a change of rights in the log, beside the decisions it leads to."""
        self.osl.audit.record(
            None,
            f"rights.{what}",
            f"{grant.deployment}: {grant}",
            "done",
            rule=grant.name,
            detail=f"by {who}" + (f": {why}" if why else ""),
        )
