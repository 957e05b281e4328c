"""Pipelines: a policy, an audit log and a chain of middleware that operations run through."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import sysconfig
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import airssys.osl.files.executors
import airssys.osl.network.executors
import airssys.osl.processes.executors
import airssys.osl.utilities.utility  # noqa: F401 - all four for the executors they register
from airssys.errors import AirsSysError
from airssys.osl._native import AuditLog, Gate, Subject, typed
from airssys.osl.approval import Approvals
from airssys.osl.authority import Authority
from airssys.osl.context import (
    Acting,
    Context,
    Principal,
    current_execution,
    maybe_context,
    systems,
)
from airssys.osl.errors import ContextExpired, DefinitionError, OslError
from airssys.osl.executor import Executors, Outcome
from airssys.osl.explain import Explained, explain
from airssys.osl.log_key import signing_key
from airssys.osl.middleware.chain import Call, Middleware, compose
from airssys.osl.policy.compile import document
from airssys.osl.policy.model import Enforcement, Policy
from airssys.osl.policy.source import PolicySource
from airssys.osl.result import Result
from airssys.osl.retention import prune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from airssys.osl._native import Callers
    from airssys.osl.approval import Approver
    from airssys.osl.context import Attribute
    from airssys.osl.operation import Operation
    from airssys.osl.policy.compile import Description
    from airssys.osl.processes.process import Process
    from airssys.osl.retention import Pruned, Retention

__all__ = ["OSL"]

T = TypeVar("T")


class Live(Protocol):
    """Something that stays open and rests on a right."""

    def recheck(self) -> None:
        """Look whether the right is still there, and close where it is not."""


class Components(Protocol):
    """Whoever runs components that this gate decides about."""

    def rules(self, name: str) -> Sequence[Description]:
        """Return what one of them asks for and was granted; nothing where there is none."""

    @property
    def ceiling(self) -> bool:
        """Whether they may do only what a rule of the policy allows, whatever is granted."""


class _InForce:
    """What the rules in force are made of, shared by pipelines over one gate."""

    def __init__(self) -> None:
        # Held while rules are read and until they are in force, so that the newest stay.
        self.one_load = threading.Lock()
        self.policy: list[Description] = []
        self.components: Components | None = None
        #: The components that have rules in force.
        self.ruled: set[str] = set()


class OSL:
    """Runs operations: middleware around, the gate inside, everything recorded.

    One pipeline owns an audit directory; `with_middleware` makes others over the same gate and
    log. Close it, or use it in a `with` block.

    Args:
        policy: A policy file, several, or a `Policy`. Without rules everything is denied.
        audit: Directory of the audit log; made when missing.
        middleware: Callables around every operation, beside the gate.
        executors: Who carries operations out, by default everything that was registered.
        approver: Answers accesses that rules say to ask for; without one they are refused.
        approval_timeout: Seconds after which an unanswered question is a refusal.
        reserved: Paths that nobody may touch, beside the log, its key, the policy files, the
            installed packages, `/proc` and `/sys`.
        masks: Texts that are masked wherever they appear in records.
        checkpoint: The newest checkpoint kept elsewhere; a log behind it is refused.
        on_checkpoint: Gets each checkpoint that is signed, one line of JSON, to keep it where
            nobody who reaches the log reaches it.
        acknowledge_truncation: Go on with a log that is behind a checkpoint; that is recorded.
        retention: What the log keeps; applied when it is opened, and by `prune_log`.
        audit_rate: Records per second that one context may cause, 1000 at once; who is over it is
            slowed down.
        development: Permits the enforcement `learn`.
        search_path: Directories in which programs named without a slash are looked for; the
            `PATH` of the environment is never used.

    Raises:
        PolicyError: The policy cannot be used.
        OslError: The audit log is damaged, behind its checkpoint, or owned by another process.
    """

    def __init__(
        self,
        *,
        policy: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Policy,
        audit: str | os.PathLike[str],
        middleware: Iterable[Middleware] = (),
        executors: Executors | None = None,
        approver: Approver | None = None,
        approval_timeout: float = 60.0,
        reserved: Iterable[str | os.PathLike[str]] = (),
        masks: Iterable[str] = (),
        checkpoint: bytes | None = None,
        on_checkpoint: Callable[[bytes], None] | None = None,
        acknowledge_truncation: bool = False,
        retention: Retention | None = None,
        audit_rate: float | None = None,
        development: bool = False,
        search_path: Iterable[str] = ("/usr/local/bin", "/usr/bin", "/bin"),
    ) -> None:
        self.search_path = tuple(search_path)
        self.audit_rate = audit_rate
        self.development = development
        self._retention = retention
        self._on_checkpoint = on_checkpoint
        self._source = PolicySource(policy)
        self.approvals = Approvals(approver, approval_timeout)
        #: Running child processes by id.
        self.children: dict[int, Process] = {}
        self._live: weakref.WeakSet[Live] = weakref.WeakSet()
        self._closed = False
        self._in_force = _InForce()
        directory = Path(audit)
        directory.mkdir(parents=True, exist_ok=True)
        key = directory.with_name(directory.name + ".key")
        try:
            self.audit = AuditLog(
                directory,
                key=signing_key(key),
                masks=tuple(masks),
                checkpoint=checkpoint,
                acknowledge_truncation=acknowledge_truncation,
            )
        except AirsSysError as error:
            raise typed(error) from None
        try:
            hidden = [os.fspath(path) for path in reserved]
            hidden += [os.path.realpath(key), *self._source.paths, *_packages()]
            self.gate = Gate(self.audit, reserved=hidden)
            systems[self.gate.number] = self
            self.reload()
            if retention is not None:
                self.prune_log()
        except BaseException:
            self.audit.close()
            raise
        self._executors = executors if executors is not None else Executors()
        self._find = self._executors.table.get
        self._middleware = tuple(middleware)
        self._proceed = compose(self._middleware, self._perform)

    # -- running

    async def run(
        self, operation: Operation[T], *, middleware: Iterable[Middleware] = ()
    ) -> Result[T]:
        """Run an operation for the principal that acts.

        Cancelling cancels the chain; work that has gone to a thread ends there by itself.

        Args:
            operation: What to do.
            middleware: Callables for this run only, inside those of the pipeline.

        Raises:
            NoContext: Nobody acts here.
            AccessDenied: The gate refused, and nothing was done.
            OSError: The system refused.
        """
        execution = current_execution()
        call = Call(operation, execution.context, execution.subject(self), self)
        proceed = self._proceed
        if middleware:
            proceed = compose((*self._middleware, *middleware), self._perform)
        return await proceed(call)  # type: ignore[return-value] # the chain keeps the type of output

    async def _perform(self, call: Call) -> Result[object]:
        operation = call.operation
        try:
            call.context.check_expiry()
        except ContextExpired:
            for permission in operation.permissions():
                name = f"{permission.kind}.{permission.access}"
                self.audit.record(
                    call.subject, name, permission.target, "deny", rule="context-expired"
                )
            raise
        executor = self._find(type(operation)) or self._executors[type(operation)]
        authority = Authority(call)
        started = time.time()
        begun = time.perf_counter()
        if executor.decides == "declared":
            authority.decided = True
            decide = self.gate.decide
            for permission in operation.permissions():
                kind, access, target = permission.kind, permission.access, permission.target
                decision = decide(call.subject, kind, access, target)
                # Most are allowed at once, and those shall cost nothing more.
                if not decision.allowed or decision.delay:
                    again = functools.partial(decide, call.subject, kind, access, target)
                    await authority.settle(kind, access, decision, again)
        output = await executor.function(operation, authority)
        if not authority.decided:
            raise DefinitionError(
                f"the executor of {operation.name!r} says that it decides by itself, but never "
                "asked the gate; use its authority, or define it with decides='declared'",
                operation=operation.name,
            )
        took = time.perf_counter() - begun
        if type(output) is Outcome:
            return Result(output.output, started, took, output.exit_code, output.metadata)
        return Result(output, started, took)

    def with_middleware(self, *middleware: Middleware) -> OSL:
        """Return a pipeline over the same gate and log with more middleware.

        It shares policy and log with this one: reloading either reloads both, and only the first
        is closed.
        """
        other = object.__new__(OSL)
        other.__dict__.update(self.__dict__)
        other._middleware = (*self._middleware, *middleware)
        other._proceed = compose(other._middleware, other._perform)
        return other

    # -- who acts

    def acting_as(
        self,
        principal: Principal,
        *,
        session: str = "",
        attributes: Mapping[str, Attribute] | None = None,
        expires_in: float | None = None,
        trace_id: str | None = None,
    ) -> Acting:
        """Make `principal` the one who acts in a `with` block and in the tasks begun there.

        Inside another block the principal of that one becomes a caller in the chain: for writes,
        processes and secrets the first caller must hold the right too.

        Args:
            principal: Who acts.
            session: Name for the audit log.
            attributes: Facts for conditions, such as `source` and `tags`. A fact of the same
                name about the principal wins.
            expires_in: Seconds after which the context is worth nothing.
            trace_id: Ties records together; by default that of the outer context, or a new one.
        """
        outer = maybe_context()
        if trace_id is None:
            trace_id = outer.trace_id if outer is not None else secrets.token_hex(16)
        context = Context(
            principal,
            session,
            dict(attributes or {}),
            time.time() + expires_in if expires_in is not None else None,
            time.monotonic() + expires_in if expires_in is not None else None,
            trace_id,
            (*outer.callers, outer.principal) if outer is not None else (),
        )
        return Acting(context, self)

    def subject_of(
        self,
        context: Context,
        caller: Subject | None = None,
        *,
        callers: Callers | None = None,
    ) -> Subject:
        """Return the native form of a context: of who called it, or a whole chain of callers."""
        principal = context.principal
        return Subject(
            principal.name,
            roles=tuple(principal.roles),
            namespace=principal.namespace or None,
            attributes={**context.attributes, **principal.attributes},
            enforcement=self._enforcement.value,
            observe_until=self._observe_until,
            caller=caller,
            callers=callers,
            trace_id=context.trace_id,
            session=context.session or None,
            audit_rate=self.audit_rate,
        )

    # -- rules

    def reload(self) -> int:
        """Read the policy again and put it in force at once for whole accesses.

        Open files, sockets and streams are decided again; what has lost its right is closed.

        Returns:
            The generation of rules now in force.

        Raises:
            PolicyError: The new policy cannot be used; the old one stays in force.
        """
        policy, described = self._source.read()
        if policy.enforcement is Enforcement.LEARN and not self.development:
            raise OslError(
                "the policy says enforcement = 'learn', which is for development hosts; "
                "pass development=True to OSL if this is one",
                code="learn-refused",
            )
        with self._in_force.one_load:
            try:
                generation = self.gate.load(document(described))
            except AirsSysError as error:
                raise typed(error) from None
            self._in_force.policy = described
            self._enforcement = policy.enforcement
            until = policy.observe_until
            self._observe_until = until.timestamp() if until is not None else None
            self.enforcement_state = object()
        self.approvals.forget()
        self.recheck()
        return generation

    def govern(self, components: Components | None) -> None:
        """Decide about components too, by the policy and their own requests and grants.

        A host does this when it opens, and gives None when it closes, which takes all rights of
        its components away.

        Raises:
            OslError: Another host's components are governed already.
        """
        if components is not None and self._in_force.components is not None:
            raise OslError(
                "this OSL governs the components of another host; close that one, or make another "
                "OSL with a log of its own",
                code="components-governed",
            )
        self._in_force.components = components
        if components is None:
            self.reload_components(self._in_force.ruled)

    def reload_components(self, names: Iterable[str]) -> int:
        """Put what some components ask for and were granted in force, as after any change of it.

        Nothing of the policy or of other components is compiled again, and all of it is in force
        at once. Returns the generation of rules now in force.

        Raises:
            PolicyError: A rule cannot be used; the old ones stay in force.
        """
        in_force = self._in_force
        with in_force.one_load:
            components = in_force.components
            changes: list[tuple[str, bytes | None]] = []
            for name in set(names):
                rules = () if components is None else components.rules(name)
                if components is not None and rules:
                    changes.append((name, document(rules, ceiling=components.ceiling)))
                elif name in in_force.ruled:
                    changes.append((name, None))
            if not changes:
                return self.gate.generation
            try:
                generation = self.gate.load_own(changes)
            except AirsSysError as error:
                raise typed(error) from None
            in_force.ruled.difference_update(name for name, rules in changes if rules is None)
            in_force.ruled.update(name for name, rules in changes if rules is not None)
        self.recheck()
        return generation

    @property
    def policy_digest(self) -> str:
        """SHA-256 of the rules of the policy as it was read last: what approvals are bound to."""
        return "sha256:" + hashlib.sha256(document(self._in_force.policy)).hexdigest()

    @property
    def policy_files(self) -> tuple[str, ...]:
        """The files that the policy is read from; none for one that was made in Python."""
        return tuple(self._source.paths)

    async def follow_policy(self) -> None:
        """Reload whenever a policy file changes, until cancelled.

        A file that cannot be used is reported by the logger `airssys.osl` and in the audit log as
        `policy.reload`; the rules in force stay.
        """
        await self._source.follow(self)

    def explain(self, principal: Principal, operation: Operation[object]) -> tuple[Explained, ...]:
        """Say how each access of an operation would be decided, and by which rule.

        Nothing is done or recorded. Paths are resolved as they are now.
        """
        context = Context(principal)
        return explain(self.gate, self.subject_of(context), operation)

    def revoke(self) -> int:
        """Have everything that is open decided again, as after any change of rights."""
        generation = self.gate.advance()
        self.recheck()
        return generation

    def end_children(self, principal: str | None = None) -> int:
        """Kill the children of a principal, or all, with their process groups; return how many."""
        chosen = [
            process
            for process in list(self.children.values())
            if principal is None or process.principal == principal
        ]
        for process in chosen:
            process.abandon()
        return len(chosen)

    def watch_over(self, live: Live) -> None:
        """Have `live.recheck()` called whenever rights change."""
        self._live.add(live)

    def recheck(self) -> None:
        """Have everything that is open look whether its right is still there."""
        for live in list(self._live):
            live.recheck()

    # -- the log

    def checkpoint(self) -> bytes:
        """Make all records durable and sign how far the log has come; closing does so too.

        Returns:
            One line of JSON, also kept in the log's directory and given to `on_checkpoint`.

        Raises:
            OslError: The disk failed.
        """
        try:
            signed = self.audit.checkpoint()
        except AirsSysError as error:
            raise typed(error) from None
        if self._on_checkpoint is not None:
            self._on_checkpoint(signed)
        return signed

    def prune_log(self, retention: Retention | None = None) -> Pruned | None:
        """Remove what the log need not keep, after recording so; blocks while files are read.

        Args:
            retention: What to keep, by default what the pipeline was made with.

        Returns:
            What was removed; `None` when everything is kept.

        Raises:
            OslError: There is no retention, or what would go is damaged.
        """
        kept = retention or self._retention
        if kept is None:
            raise OslError(
                "this pipeline was made without a retention; pass one", code="invalid-retention"
            )
        pruned = prune(self.audit, kept)
        if pruned is not None and self._on_checkpoint is not None:
            # What is kept elsewhere may be one that went.
            self.checkpoint()
        return pruned

    # -- end

    def close(self) -> None:
        """Kill the children that are left, sign a checkpoint, and close the audit log."""
        if not self._closed:
            self._closed = True
            self.approvals.close()
            self.end_children()
            try:
                self.checkpoint()
            finally:
                self.audit.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _packages() -> list[str]:
    own = str(Path(__file__).resolve().parent.parent)
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"], own]))
