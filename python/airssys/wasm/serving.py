"""A deployment while its host is open: its route, and the revisions that are kept warm."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from airssys.wasm._native import _core
from airssys.wasm.accounting import DeploymentStatistics, RevisionStatistics
from airssys.wasm.actors.hooks import Hooks
from airssys.wasm.actors.make import Make
from airssys.wasm.delivery.errors import ShadowUnsafe
from airssys.wasm.delivery.records import Baseline
from airssys.wasm.delivery.replay import report_of
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import Limits
from airssys.wasm.quotas.ledger import usage_of
from airssys.wasm.scripts.component import ScriptComponent
from airssys.wasm.security.host_functions import on_behalf
from airssys.wasm.storage_records import StorageQuota
from airssys.wasm.wasi import Directory, Wasi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airssys.wasm._native import Gate, Subject
    from airssys.wasm.actors.logs import GuestLogs
    from airssys.wasm.component import Component
    from airssys.wasm.contracts.contract import Contract
    from airssys.wasm.delivery.replay import Replay, ReplayReport
    from airssys.wasm.quotas import Ledger, Usage
    from airssys.wasm.revision import Revision, Settings
    from airssys.wasm.security.host_security import HostSecurity
    from airssys.wasm.storage_holder import StorageHolder

__all__ = ["Prepared", "Serving", "Trial", "quota_of"]

#: Calls that may wait for an instance of a pooled revision.
_MOST_WAITING: Final = 10_000
#: The interfaces behind which storage is.
_STORAGE: Final = ("airssys:storage/", "wasi:keyvalue/")
#: Log lines a second of deployments that were recorded before there was a limit.
_LOG_LINES: Final = Limits().log_lines_per_second
#: Seconds that calls get to end after they were told to.
_KILL_GRACE: Final = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A component that has proved that it starts, ready to take calls.

    Attributes:
        component: The loaded component.
        settings: How it is run.
        statistics: Where the calls are counted.
        line: What takes the calls; None where its actors take messages.
        make: What its actors are made of; None where it takes calls.
        storage: What it stores in, and who may share that; None where it stores nothing.
    """

    component: Component
    settings: Settings
    statistics: _core.LineStatistics
    line: _core.Line | None = None
    make: Make | None = None
    storage: tuple[_core.StorageNamespace, Subject] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """A revision that takes a share of the calls beside the live one.

    Attributes:
        revision: What is on record of it.
        prepared: What takes its calls.
        native: The split of the route; None of actors.
        statistics: Where what is compared is counted, of the live revision and of the new one.
    """

    revision: Revision
    prepared: Prepared
    native: _core.Trial | None
    statistics: tuple[_core.LineStatistics, _core.LineStatistics]


def quota_of(settings: Settings) -> StorageQuota:
    """Return what a deployment with these settings may store."""
    return StorageQuota.of(Limits(**cast("dict[str, Any]", settings.limits)))


def _text(value: Any) -> str:
    """Return a value of a configuration as components read it: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Serving:
    """The live side of one deployment.

    Changes are made one after another by whoever holds `one_change`; calls need no lock.

    Args:
        name: The deployment.
        imports: The host functions that its components are given, as `Component.instantiate` takes
            them.
        storage: The storage of the host.
        security: What decides about everything that instances reach.
        ledger: The accounts of the host.
        logs: What takes the lines of instances that are no actors; None drops them.

    Attributes:
        name: The deployment.
        account: What it uses.
        route: What takes the calls.
        one_change: Held while the deployment is changed.
        revision: The live revision; None before the first, and once the deployment was removed.
        component: Its component; None while the deployment is held.
        script: The same where it is a script, else None.
        contract: What was given last of what its revisions have to implement, or None.
        held: Why the deployment takes no calls, or None.
        make: What its actors are made of, while it has any.
        gone: Whether the name is another deployment's now.
        quota: What the live revision may store; None before the first.
        trial: The revision that takes a share beside the live one, while a rollout runs.
        coming: Done once a revision takes calls again, after the deployment was recreated.
        patience: Seconds that calls wait for it.
    """

    def __init__(
        self,
        name: str,
        imports: Mapping[str, Any],
        storage: StorageHolder,
        security: HostSecurity,
        ledger: Ledger,
        logs: GuestLogs | None = None,
    ) -> None:
        self.name = name
        self.account = ledger.open(name)
        self.route = _core.Route(name)
        self.one_change = threading.Lock()
        self.revision: Revision | None = None
        self.component: Component | None = None
        self.script: ScriptComponent | None = None
        self.contract: Contract | None = None
        self.held: str | None = None
        self.make: Make | None = None
        self.gone = False
        self.quota: StorageQuota | None = None
        self.trial: Trial | None = None
        self.coming: Future[None] | None = None
        self.patience = 0.0
        self._imports = imports
        self._storage = storage
        self._security = security
        self._logs = logs
        self._warm: dict[int, Component] = {}
        self._statistics: dict[int, _core.LineStatistics] = {}
        self._of_actors: set[int] = set()
        self._line: _core.Line | None = None
        self._draining: list[_core.Line] = []
        self._recording: _core.Recording | None = None
        self._kept_within: tuple[int, int | str, float] | None = None

    def prepare(
        self, number: int, component: Component, settings: Settings, hooks: Hooks | None = None
    ) -> Prepared:
        """Make what takes the calls of a revision, and prove that it links and starts.

        An actor proves that when it is started.

        Args:
            number: The revision.
            component: The revision's component.
            settings: How it is run.
            hooks: What is called at the turns of its actors' life.

        Raises:
            UnknownImport: Nothing provides an import of the component.
            Trap: It trapped while it was instantiated.
            LimitExceeded: It needs more than its limits allow.
        """
        statistics = self._statistics.get(number) or _core.LineStatistics()
        limits = Limits(**cast("dict[str, Any]", settings.limits))
        services = self._services(component, limits)
        gate, subject = rules = self._rules(number, settings)
        storage = (services[0], subject) if services else None
        wasi = self._given(settings, rules, component.arguments)
        if isinstance(component, ScriptComponent):
            component.begin(limits.native.counted(self.account), wasi.native)
        if settings.actor is not None:
            questions = self._security.osl.approvals.questions
            make = Make(
                component=component._native,  # noqa: SLF001
                limits=limits.native.counted(self.account),
                wasi=wasi.native,
                services=services,
                settings=settings.actor,
                rights=_core.MessageRights.by_rules(gate, subject, questions),
                hooks=hooks or Hooks(),
                revision=number,
                statistics=statistics,
            )
            return Prepared(component, settings, statistics, make=make, storage=storage)
        line = self._line_of(number, component, settings, statistics, services, wasi)
        line.warm()
        return Prepared(component, settings, statistics, line, storage=storage)

    def _rules(self, number: int, settings: Settings) -> tuple[Gate, Subject]:
        """Return what decides about a revision."""
        return self._security.gate, self._security.subject(self.name, number, settings)

    def _services(
        self, component: Component, limits: Limits
    ) -> tuple[()] | tuple[_core.StorageNamespace, _core.StorageOffers]:
        """Return what the instances of a component have of host services."""
        namespace = self._namespace(component, limits)
        return () if namespace is None else (namespace, self._storage.offers)

    def _line_of(
        self,
        number: int,
        component: Component,
        settings: Settings,
        statistics: _core.LineStatistics,
        services: tuple[()] | tuple[_core.StorageNamespace, _core.StorageOffers],
        wasi: Wasi,
        *,
        logged: bool = True,
    ) -> _core.Line:
        """Return what takes calls of a component."""
        limits = Limits(**cast("dict[str, Any]", settings.limits))
        subject = self._security.subject(self.name, number, settings)
        return _core.Line(
            component._native,  # noqa: SLF001
            number=number,
            limits=limits.native.counted(self.account),
            wasi=wasi.native,
            functions=[
                on_behalf(function, self._security.osl, subject)
                for function in component._functions(self._imports)  # noqa: SLF001
            ],
            instances=settings.instances if settings.lifetime == "pooled" else 0,
            waiting=_MOST_WAITING,
            statistics=statistics,
            services=services,
            log=None if self._logs is None or not logged else (self._logs.calls(), self.name),
        )

    def _given(
        self,
        settings: Settings,
        rules: tuple[Gate, Subject],
        arguments: Sequence[str] = (),
        *,
        effects: bool = True,
    ) -> Wasi:
        """Return what instances are given; without `effects`, nothing that has any.

        Raises:
            InvalidSetting: A setting has a place for a secret that the host has not.
        """
        try:
            return Wasi(
                arguments=arguments,
                environment=settings.environment,
                config={key: _text(value) for key, value in settings.config.items()},
                secrets=self._security.secrets,
                directories={
                    guest: Directory(mount.path, mount.write)
                    for guest, mount in settings.mounts.items()
                },
                rules=rules,
                approver=self._security.osl.approvals if effects else None,
                effects=effects,
            )
        except ValueError as error:
            raise InvalidSetting(
                f"{self.name}: {error}", hint="Host.open(secrets=…) says where secrets come from"
            ) from error

    def _namespace(self, component: Component, limits: Limits) -> _core.StorageNamespace | None:
        """Return the deployment's storage, if its component uses any."""
        if not self._stores(component):
            return None
        return self._storage.namespace(self.name, StorageQuota.of(limits))

    def switch(self, revision: Revision, prepared: Prepared) -> None:
        """Let a revision take every call from now on. Calls that run end on the one they began on.

        They have until its drain deadline. Components beyond the number that is kept go cold.
        """
        if prepared.line is None:
            self.route.hold()
        else:
            self.route.switch(prepared.line)
        self._took_over(revision, prepared)

    def _took_over(self, revision: Revision, prepared: Prepared) -> None:
        """Keep the books of a revision that takes every call now."""
        previous, drain = self._line, self.revision.settings.drain if self.revision else 0
        self._statistics[revision.number] = prepared.statistics
        self.revision, self.component, self.held = revision, prepared.component, None
        script = prepared.component if isinstance(prepared.component, ScriptComponent) else None
        self.script = script
        self._line, self.make = prepared.line, prepared.make
        self.quota = quota_of(revision.settings)
        self._bound(revision.settings)
        self._keep_calls(revision.settings.replay)
        self._share(prepared)
        if prepared.make is not None:
            self._of_actors.add(revision.number)
        if previous is not None:
            self._let_go(previous, drain)
        # Last used last, so that the coldest are first.
        self._warm.pop(revision.number, None)
        self._warm[revision.number] = prepared.component
        for cold in list(self._warm)[: -(revision.settings.keep + 1)]:
            del self._warm[cold]
            self._statistics[cold].go_cold()

    def _keep_calls(self, replay: Replay | None) -> None:
        """Keep the calls that are to be made again, beside those that are kept already."""
        bounds = None if replay is None else (replay.calls, replay.bytes, replay.share)
        if bounds != self._kept_within:
            self._kept_within = bounds
            self._recording = None if replay is None else replay.recording()
        self.route.record(self._recording)

    def _let_go(self, line: _core.Line, drain: float) -> None:
        """Give the calls of a line that takes none any more until its drain deadline."""
        self._draining = [each for each in (*self._draining, line) if each.in_flight]
        if line.in_flight:
            line.kill_after(drain)

    @contextlib.contextmanager
    def recreating(self, patience: float) -> Iterator[None]:
        """End what the live revision runs before the block; have it back unless another is live.

        Calls find no revision meanwhile; they wait for `coming`, `patience` seconds at most.
        """
        revision, component = self.revision, self.component
        assert revision is not None, "there is nothing to recreate"  # noqa: S101
        assert component is not None, "there is nothing to recreate"  # noqa: S101
        self.coming, self.patience = Future(), patience
        try:
            self.route.hold()
            if self._line is not None and not self._line.wait_drained(revision.settings.drain):
                self._line.kill()
                self._line.wait_drained(_KILL_GRACE)
            try:
                yield
            except BaseException:
                self.switch(revision, self.prepare(revision.number, component, revision.settings))
                raise
        finally:
            self.coming.set_result(None)

    @property
    def takes_calls(self) -> bool:
        """Whether a revision is live and not held."""
        return self.component is not None and self.held is None

    def begin_trial(
        self,
        revision: Revision,
        prepared: Prepared,
        weight: float,
        salt: bytes,
        baseline: Baseline,
        *,
        most_traps: int | None,
    ) -> Trial:
        """Let a revision take a share of the calls beside the live one.

        Args:
            revision: What is on record of it.
            prepared: What takes its calls.
            weight: The share, 0 to 1.
            salt: Decides with a key on which side it is.
            baseline: How the live revision was before.
            most_traps: After more traps than these it takes no call any more, where the live
                revision has none; None for any number.

        Raises:
            HostClosed: The deployment takes no calls.
        """
        assert self.revision is not None, "there is a live revision to try it beside"  # noqa: S101
        native = None  # actors are moved by key
        if prepared.line is not None:
            native = self.route.split(
                prepared.line, weight, salt=salt, slow=baseline.slow, most_traps=most_traps
            )
        self._statistics[revision.number] = prepared.statistics
        live = self._statistics[self.revision.number]
        self.trial = Trial(revision, prepared, native, (live, prepared.statistics))
        return self.trial

    def refuse_unsafe_copies(self, new: Prepared) -> None:
        """Refuse to copy calls where a copy could have effects.

        Raises:
            ShadowUnsafe: A host function is called, of which nobody knows what it does.
        """
        for whose, component in (("the new", new.component), ("the live", self.component)):
            required = () if component is None else component.required
            if required:
                raise ShadowUnsafe(
                    f"{whose} revision of '{self.name}' calls host functions, whose effects cannot"
                    f" be kept from happening: {', '.join(required)}",
                    hint="use Canary, which lets few callers see it",
                    name=self.name,
                )

    def begin_shadow(
        self, revision: Revision, prepared: Prepared, share: float, salt: bytes, baseline: Baseline
    ) -> Trial:
        """Copy a share of the calls to both revisions, without effects.

        Args:
            revision: What is on record of the new one.
            prepared: What takes its calls once it is promoted; None until then.
            share: The share of the calls, 0 to 1.
            salt: Decides which.
            baseline: How the live revision was before.

        Raises:
            HostClosed: The deployment takes no calls.
        """
        live, component = self.revision, self.component
        assert live is not None, "there is a live revision to copy the calls of"  # noqa: S101
        assert component is not None, "as above"  # noqa: S101
        assert prepared.line is not None, "actors are refused before"  # noqa: S101
        control = self._without_effects(live.number, component, live.settings)
        copy = self._without_effects(revision.number, prepared.component, prepared.settings)
        native = self.route.shadow(
            prepared.line,
            share,
            control=control[0],
            copy=copy[0],
            storage=self._copied_storage(component, prepared.component, prepared.settings),
            salt=salt,
            slow=baseline.slow,
        )
        self._statistics[revision.number] = prepared.statistics
        self.trial = Trial(revision, prepared, native, (control[1], copy[1]))
        return self.trial

    def _copied_storage(
        self, live: Component, new: Component, settings: Settings
    ) -> _core.StorageNamespace | None:
        """Return what is held for the copies of calls, if either component stores anything."""
        limits = Limits(**cast("dict[str, Any]", settings.limits))
        return self._namespace(live, limits) or self._namespace(new, limits)

    def replay(self, number: int, component: Component, settings: Settings) -> ReplayReport | None:
        """Make the calls that are kept again, on the live revision and on a new one.

        Blocks, for as many seconds as the settings say.

        Args:
            number: The new revision.
            component: Its component.
            settings: How it is run.

        Returns:
            What came of it; None where nothing is kept, or is to be made again.

        Raises:
            ShadowUnsafe: A host function is called, of which nobody knows what it does.
        """
        live, own = self.revision, self.component
        if settings.replay is None or not settings.replay.calls:
            return None
        if required := component.required:
            raise ShadowUnsafe(
                f"calls of '{self.name}' cannot be made again without effects: its component calls"
                f" host functions: {', '.join(required)}",
                hint="deploy it without replay",
                name=self.name,
            )
        if self._recording is None or live is None or own is None or own.required:
            return None
        control, _ = self._without_effects(live.number, own, live.settings)
        copy, _ = self._without_effects(number, component, settings)
        told = self._recording.replay(
            control,
            copy,
            storage=self._copied_storage(own, component, settings),
            ignored=settings.replay.ignore,
            seconds=settings.replay.seconds,
        )
        return report_of(told, self._security.known_secrets())

    def _without_effects(
        self, number: int, component: Component, settings: Settings
    ) -> tuple[_core.Line, _core.LineStatistics]:
        """Return a line on which nothing that it does has effects, and where it counts."""
        # Nothing that it does is the deployment's work: neither its counts nor its log have it.
        statistics = _core.LineStatistics()
        limits = Limits(**cast("dict[str, Any]", settings.limits))
        line = self._line_of(
            number,
            component,
            settings,
            statistics,
            self._services(component, limits),
            self._given(
                settings, self._rules(number, settings), component.arguments, effects=False
            ),
            logged=False,
        )
        line.warm()
        return line, statistics

    def end_trial(self, *, promote: bool) -> None:
        """Let the revision that was tried take every call, or none any more."""
        trial, self.trial = self.trial, None
        if trial is None:
            return
        if trial.native is not None:
            trial.native.finish(promote)
        if promote:
            self._took_over(trial.revision, trial.prepared)
        elif trial.prepared.line is not None:
            self._let_go(trial.prepared.line, trial.revision.settings.drain)

    def baseline(self, slow: Sequence[float], by: float, least: int) -> Baseline:
        """Return how the live revision did until now.

        Args:
            slow: Quantiles of its time that are asked for.
            by: Seconds that are added to them.
            least: Calls that have to be known of it.
        """
        if self.revision is None:
            return Baseline()
        statistics = self._statistics[self.revision.number]
        seen = statistics.snapshot()
        if seen["calls"] < max(least, 1):
            return Baseline(traps=seen["traps"])
        failures = seen["failures"] - seen["cancelled"]
        return Baseline(
            slow=tuple(statistics.quantile(share) + int(by * 1e9) for share in slow),
            failure_rate=failures / seen["calls"],
            traps=seen["traps"],
        )

    def _share(self, prepared: Prepared) -> None:
        if prepared.storage is None:
            self._storage.offers.withdraw(self.name)
        else:
            namespace, subject = prepared.storage
            self._storage.offers.offer(self.name, namespace, self._security.gate, subject)

    @property
    def numbers(self) -> frozenset[int]:
        """The revisions of which instances may run, or are kept to."""
        running = (line.number for line in self._lines() if line.in_flight)
        live = () if self.revision is None else (self.revision.number,)
        tried = () if self.trial is None else (self.trial.revision.number,)
        return frozenset((*self._warm, *running, *live, *tried))

    def warm(self, number: int) -> Component | None:
        """Return the component of a revision if it is kept warm."""
        return self._warm.get(number)

    def hold(self, revision: Revision, reason: str) -> None:
        """Take no calls until another revision is live; `reason` says why."""
        self.revision, self.component, self.held, self.make = revision, None, reason, None
        self.quota = quota_of(revision.settings)
        self._storage.offers.withdraw(self.name)
        self.route.hold()

    def stop(self) -> None:
        """End the calls that run now."""
        for line in self._lines():
            line.kill()

    def close(self) -> None:
        """Take no calls any more. Calls that run go on."""
        self._storage.offers.withdraw(self.name)
        self.route.close()

    def drain(self, seconds: float) -> None:
        """Wait until no call runs, and end those that do after so many seconds."""
        end = time.monotonic() + seconds
        for line in self._lines():
            if not line.wait_drained(max(0.0, end - time.monotonic())):
                line.kill()
                # A guest stops at its next tick; one that waits for Python, when that returns.
                line.wait_drained(_KILL_GRACE)
        self._warm.clear()

    def _bound(self, settings: Settings) -> None:
        """Hold the deployment to the ceilings of its live revision."""
        ceilings = settings.ceilings
        self.account.set(
            memory=None if ceilings.memory is None else int(ceilings.memory),
            instances=ceilings.instances,
            calls_per_second=ceilings.calls_per_second,
            log_lines_per_second=int(settings.limits.get("log_lines_per_second", _LOG_LINES)),
        )

    def usage(self) -> Usage:
        """Return what the deployment used since the host was opened."""
        found = self.statistics()
        stored = 0
        if (
            self.revision is not None
            and self.component is not None
            and self.quota is not None
            and self._stores(self.component)
        ):
            stored = self._storage.namespace(self.name, self.quota).usage().wait()[1]
        handled = sum(each.calls for each in found.revisions if each.revision in self._of_actors)
        sums = {
            "calls": found.calls - handled,
            "messages": handled,
            "failures": found.failures,
            "cpu_seconds": found.cpu_seconds,
            "host_calls": found.host_calls,
            "bytes_in": found.bytes_in,
            "bytes_out": found.bytes_out,
            "storage_bytes": stored,
        }
        return usage_of(self.account, sums)

    @staticmethod
    def _stores(component: Component) -> bool:
        return any(name.startswith(_STORAGE) for name in component.imports)

    def settle(self, seconds: float) -> None:
        """Wait until no replaced instance is left, and end those that are after so many seconds."""
        end = time.monotonic() + seconds
        for line in self._draining:
            if not line.wait_drained(max(0.0, end - time.monotonic())):
                line.kill()
                line.wait_drained(_KILL_GRACE)

    def statistics_of(self, number: int) -> _core.LineStatistics:
        """Return where the calls of a revision are counted."""
        return self._statistics[number]

    def statistics(self) -> DeploymentStatistics:
        """Return the counts of every revision that took calls since the host was opened."""
        revisions = []
        for number, statistics in sorted(self._statistics.items()):
            lines = [line for line in self._lines() if line.number == number]
            instances = sum(line.instances for line in lines)
            memory = sum(line.memory for line in lines)
            if self.make is not None and number == self.make.revision:
                held = self.account.usage()
                instances, memory = held["instances"], held["memory"]
            revisions.append(
                RevisionStatistics(
                    revision=number,
                    in_flight=sum(line.in_flight for line in lines),
                    instances=instances,
                    memory=memory,
                    **statistics.snapshot(),
                )
            )
        return DeploymentStatistics.over(tuple(revisions))

    def _lines(self) -> list[_core.Line]:
        live = [] if self._line is None else [self._line]
        tried = [] if self.trial is None else [self.trial.prepared.line]
        return [*self._draining, *live, *(line for line in tried if line is not None)]
