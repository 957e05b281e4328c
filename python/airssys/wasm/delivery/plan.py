"""What deploying a component would change, before it does."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airssys.errors import AirsSysError
from airssys.wasm.blobs import digest_of
from airssys.wasm.delivery.interface import InterfaceDifference, interface_difference
from airssys.wasm.delivery.replay import ReplayReport, refuse_differing
from airssys.wasm.delivery.strategies import BlueGreen, strategy_fields
from airssys.wasm.host_inputs import read_source
from airssys.wasm.security.review import Review  # noqa: TC001 - read when decoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.component import Component
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.revision import Revision, Settings

__all__ = ["Plan", "RevisionDifference", "SettingChange", "plan_of", "revision_difference"]

T = TypeVar("T")

_LOSES: Final = {
    "reverse": "nothing: an earlier revision takes the state that this one writes",
    "discard": "what actors write from now on: an earlier revision goes on from what it left",
    "refuse": "the way back: no earlier revision takes the state that this one writes",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """A setting that would be another.

    Attributes:
        name: As in `Settings`; `limits.memory` for one of the limits.
        before: What it is; None where there is nothing live.
        after: What it would be.
    """

    name: str
    before: Any
    after: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What deploying a component would change.

    Attributes:
        deployment: Where to.
        digest: The component.
        size: Bytes of it.
        from_revision: What is live; None where nothing is.
        to_revision: The number that the new revision would have; None where nothing would change.
        problems: Why it would be refused; none where it would not be.
        strategy: How it would take over, with its `kind`; None where nothing is live that it could
            take over from, or nothing would change.
        settings: Settings that would be others.
        interface: What differs in the interface; None where there is nothing to compare.
        review: What it asks for beside what it is granted; None where it cannot be read.
        memory: Bytes of linear memory that an instance has from the beginning.
        memory_limit: Bytes that an instance may have.
        signed: Whether a key that counts for the name signed it.
        dry_run: Whether it linked and started, in a fresh instance that was dropped again.
        replay: What came of making recorded calls again on it; None where none are.
        rollback_loses: What is lost when one goes back to the revision before; empty where no
            state is kept.
    """

    deployment: str
    digest: str
    size: int
    from_revision: int | None
    to_revision: int | None
    problems: tuple[str, ...]
    strategy: dict[str, Any] | None
    settings: tuple[SettingChange, ...]
    interface: InterfaceDifference | None
    review: Review | None
    memory: int
    memory_limit: int
    signed: bool
    dry_run: bool
    rollback_loses: str
    replay: ReplayReport | None = None

    @property
    def possible(self) -> bool:
        """Whether nothing stands against it."""
        return not self.problems


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RevisionDifference:
    """What differs between two revisions of a deployment.

    Attributes:
        deployment: Whose.
        before: The one.
        after: The other.
        same_component: Whether both have the same component.
        settings: Settings that differ.
        interface: What differs in the interface; None where a component is gone.
    """

    deployment: str
    before: int
    after: int
    same_component: bool
    settings: tuple[SettingChange, ...]
    interface: InterfaceDifference | None


def plan_of(
    core: HostCore,
    source: Source,
    *,
    name: str,
    settings: Settings,
    strategy: Strategy | None = None,
    allow_downgrade: bool = False,
    inherited: bool = False,
) -> Plan:
    """Return what deploying a component would change; nothing is.

    Everything that would be refused is told at once, as far as one thing can be seen behind
    another.

    Args:
        core: The open host.
        source: A path, or the component itself.
        name: The deployment, which need not exist.
        settings: How it would be run.
        strategy: How it would take over; by default as the operator's file says.
        allow_downgrade: As for `deploy`.
        inherited: The capabilities in `settings` are what an earlier component asked for.

    Raises:
        OSError: The file cannot be read.
        InvalidDeploymentName: The name breaks the rules.
    """
    content = read_source(source)
    live, intake = core.deployments.live(name), core.intake
    problems: list[str] = []

    def tried(what: Callable[[], T]) -> T | None:
        try:
            return what()
        except (AirsSysError, ValueError) as error:
            text = getattr(error, "summary", str(error))
            if text not in problems:
                problems.append(text)
            return None

    review = tried(
        lambda: intake.review(
            content,
            name=name,
            settings=settings,
            allow_downgrade=allow_downgrade,
            inherited=inherited,
        )
    )
    component = tried(lambda: intake.component(content))
    given = settings
    whole = tried(lambda: intake.effective(content, name, given, inherited=inherited))
    settings = given if whole is None else whole
    if whole is not None:  # whether it implements what it has to is one more thing
        tried(lambda: intake.fitting(content, name, given, inherited=inherited))
    digest = digest_of(content)
    same = live is not None and live.digest == digest
    changes = () if live is None else setting_changes(live.settings, settings)
    # What is live already is moved nowhere.
    moved = BlueGreen() if same and not changes else intake.strategy(name, strategy)
    tried(lambda: core.changes.check_movable(name, settings, moved))
    if component is not None and whole is not None:
        tried(lambda: intake.fitting(content, name, given, inherited=inherited))
    if component is not None:
        tried(lambda: intake.depending(name, content, component))
    started = component is not None and tried(lambda: core.try_out(name, content, component, given))
    replayed = None
    if started and component is not None:
        replayed = tried(functools.partial(core.replay_for_plan, name, component, settings))
    tried(lambda: refuse_differing(name, settings.replay, replayed))
    before = None if live is None else _component(core, live)
    interface = None
    if before is not None and component is not None:
        interface = interface_difference(before, component)
    return Plan(
        deployment=name,
        digest=digest,
        size=len(content),
        from_revision=None if live is None else live.number,
        to_revision=None if same and not changes else core.next_number(name),
        problems=tuple(problems),
        strategy=None if live is None or (same and not changes) else strategy_fields(moved),
        settings=changes,
        interface=interface,
        review=review,
        memory=0 if component is None else component.memory_required,
        memory_limit=int(settings.limits["memory"]),
        signed=review is not None and review.level == "trusted",
        dry_run=bool(started),
        rollback_loses=(
            "" if settings.actor is None else _LOSES[settings.actor.state_rules.rollback]
        ),
        replay=replayed,
    )


def revision_difference(core: HostCore, name: str, before: int, after: int) -> RevisionDifference:
    """Return what differs between two revisions of a deployment.

    Raises:
        UnknownRevision: There is no such revision.
    """
    one, other = core.revision(name, before), core.revision(name, after)
    old, new = _component(core, one), _component(core, other)
    return RevisionDifference(
        deployment=name,
        before=before,
        after=after,
        same_component=one.digest == other.digest,
        settings=setting_changes(one.settings, other.settings),
        interface=None if old is None or new is None else interface_difference(old, new),
    )


def setting_changes(before: Settings, after: Settings) -> tuple[SettingChange, ...]:
    """Return the settings that differ, the limits one by one."""
    found = []
    for field in dataclasses.fields(before):
        if not field.compare:
            continue
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in {"limits", "config", "environment"}:
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    place = f"{field.name}.{key}"
                    found.append(SettingChange(name=place, before=old.get(key), after=new.get(key)))
        elif old != new:
            found.append(SettingChange(name=field.name, before=old, after=new))
    return tuple(found)


def _component(core: HostCore, revision: Revision) -> Component | None:
    """Return the component of a revision, if it is still there and compiles."""
    try:
        return core.intake.component_of(revision)
    except AirsSysError:
        return None
