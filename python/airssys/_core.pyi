"""The native module: engine, instances, gate. Private; use `airssys.wasm` and `airssys.osl`."""

from asyncio import Future
from collections.abc import Callable, Generator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, final

from typing_extensions import disjoint_base

Attribute: TypeAlias = str | int | float | bool | Sequence[str]

_T = TypeVar("_T")
_HttpRule: TypeAlias = tuple[str | None, bool, str, str, str | None, tuple[str, str] | None, Route]

def build_info() -> dict[str, str]:
    """Say what was built: versions of AirsSys and wasmtime, target, profile."""

def _compile_child(profile: str) -> int: ...
def _set_compile_worker(program: str, arguments: list[str]) -> None: ...
def _after_fork() -> None: ...
def _shut_down() -> None: ...

@final
class Limits:
    def __new__(
        cls,
        *,
        memory: int,
        table_elements: int,
        core_instances: int,
        memories: int,
        tables: int,
        call_timeout: float,
        cpu_per_call: float,
        host_call_bytes: int,
        open_handles: int,
        http_request_body: int,
        http_response_body: int,
        http_headers: int,
        coredump: bool,
        connections: int = 64,
        messages_per_second: int | None = None,
    ) -> Self: ...
    def counted(self, account: Account) -> Limits: ...

@final
class Account:
    def __new__(cls, owner: str, parent: Account | None = None) -> Self: ...
    def set(
        self,
        *,
        memory: int | None = None,
        instances: int | None = None,
        calls_per_second: int | None = None,
        log_lines_per_second: int | None = None,
    ) -> None: ...
    @property
    def owner(self) -> str: ...
    def usage(self) -> dict[str, Any]: ...
    def notices(
        self, seconds: float
    ) -> tuple[list[tuple[Literal["near", "reached"], str, float, str, str, int]], int] | None: ...
    def close(self) -> None: ...

def check_secret(name: str, value: bytes) -> None: ...

@final
class Wasi:
    def __new__(
        cls,
        *,
        arguments: list[str],
        environment: list[tuple[str, str]],
        config: list[tuple[str, str]],
        secrets: dict[str, bytes] | Callable[[str], bytes | None] | None,
        directories: list[tuple[str, str, bool]],
        connect: list[str],
        listen: list[str],
        http: list[str],
        addresses: list[str],
        storage: StorageNamespace | None,
        keys: list[str],
        stdin: bytes | None,
        stdout: str,
        stderr: str,
        capture_bytes: int,
        trust: bytes | None,
        rules: tuple[Gate, Subject] | None,
        approver: object = None,
        effects: bool = True,
    ) -> Self: ...
    @property
    def stdout(self) -> bytes | None: ...
    @property
    def stderr(self) -> bytes | None: ...
    @property
    def denials(self) -> list[str]: ...
    def revoke(self) -> None: ...

@final
class Engine:
    def __new__(cls, cache: str | None) -> Self: ...
    def load(
        self,
        source: bytes,
        *,
        in_process: bool,
        static_limits: dict[str, int] | None,
        progress: Callable[[str], object],
        report: Callable[[str], object],
        given_up: Callable[[], bool] | None,
    ) -> Component: ...

@final
class Component:
    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def memory_required(self) -> int: ...
    @property
    def profile(self) -> str: ...
    @property
    def from_cache(self) -> bool: ...
    @property
    def imports(self) -> list[str]: ...
    @property
    def required(self) -> list[tuple[str | None, str]]: ...
    @property
    def exports(self) -> list[str]: ...
    def signature(self, path: str) -> str: ...
    def shapes(self, imported: bool) -> list[tuple[str, str | None]]: ...
    def types(self) -> dict[str, type[Any]]: ...
    def wit(self) -> str: ...
    def instantiate(
        self, limits: Limits, wasi: Wasi, functions: list[Callable[..., Any]]
    ) -> Instance: ...
    def instantiate_async(
        self, limits: Limits, wasi: Wasi, functions: list[Callable[..., Any]]
    ) -> Awaitable[Instance]: ...

@final
class Instance:
    """One store with its memory. One call at a time; safe to share between threads."""

    def __getitem__(self, path: str, /) -> Function:
        """Return an exported function: `add`, or `demo:calc/ops#add` for an interface's.

        Raises:
            UnknownExport: With the near names.
        """

    def usage(self) -> dict[str, int | float]:
        """Return `calls`, `cpu_seconds`, `host_calls`, and bytes of `memory` and `memory_peak`.

        Raises:
            InstanceBusy: While a call runs.
            InstancePoisoned: After a failed call or `close`.
        """

    def close(self) -> None:
        """Free the store; a later call raises `InstancePoisoned`.

        Raises:
            InstanceBusy: While a call runs.
        """

    def __enter__(self) -> Self: ...
    def __exit__(self, *_error: object) -> None: ...

@final
class Function:
    """An exported function of one instance."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the guest and wait.

        Other Python threads run meanwhile, from the first millisecond on. Ctrl-C drops the call and
        poisons the instance.

        Raises:
            TypeError: A wrong argument; names the place, what was expected and what was given.
            ValueError: An argument out of its type's range, likewise.
            GuestError: The guest returned the error of its `result`.
            Trap: The guest trapped, or a host function raised (its exception is the cause).
            LimitExceeded: The guest reached a limit.
            InstanceBusy: Another call runs in the instance.
            InstancePoisoned: An earlier call failed.
        """

    def call_async(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Call the guest from asyncio; raises what a blocking call does.

        The first slice runs inline when the result is awaited, for at most a millisecond; the
        rest on other threads. Cancelling drops the call with its store, which poisons the instance.
        """

    @property
    def signature(self) -> str:
        """What the function takes and gives, as in WIT."""

    @property
    def __name__(self) -> str: ...

@final
class Awaitable(Generic[_T]):
    """A call to be awaited, once."""

    def __await__(self) -> Generator[Any, None, _T]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, _value: object) -> Any: ...
    def throw(self, error: Any, value: Any = None, _traceback: Any = None) -> Any: ...
    def close(self) -> None: ...

@final
class Resource:
    """A handle to a resource that a guest implements; its methods are attributes."""

    def drop(self) -> None:
        """Drop the resource; its destructor runs in the guest. A second time does nothing."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_error: object) -> None: ...
    def __getattr__(self, name: str) -> Callable[..., Any]: ...

@final
class Incoming:
    """The host's end of a guest's stream or future, behind those of `airssys.wasm.streams`."""

    @property
    def wit(self) -> str:
        """The type, as in WIT."""

    def take(self) -> Any:
        """Take what the guest wrote and nobody took: an item, or `...` if there is none.

        Raises:
            StopAsyncIteration: At the end, and after `close`.
        """

    def read(self) -> Awaitable[None] | None:
        """Run the instance until there is something to take, or the read is interrupted.

        One slice runs at once, the rest when the result is awaited. None if there is no rest.

        Raises:
            InstanceBusy: While another call runs.
            InstancePoisoned: After a failed call or `Instance.close`.
            Trap: The guest trapped.
            LimitExceeded: The guest reached a limit.
        """

    def read_blocking(self) -> None:
        """As `read`, blocking."""

    def arrival(self) -> Future[None]:
        """Return a future: whoever runs the instance has brought something, or nobody runs it."""

    def interrupt(self) -> None:
        """Let the read that is under way end without an item, as soon as the guest waits."""

    def close(self) -> bool:
        """Read no more. True if there is a guest that could still write and does not know."""

    def settle(self) -> Awaitable[None] | None:
        """Run the instance until the guest has learnt what was closed; as `read`."""

    def settle_blocking(self) -> None:
        """As `settle`, blocking."""

@final
class KillWatch:
    """Tells a blocking call's own event loop that the call is to end."""

    def start(self, callback: Callable[[object], object]) -> None: ...

@final
class ShortTurns:
    """While one is entered, threads that call guests let others have the interpreter more often.

    The interval of `sys.setswitchinterval` is short meanwhile, and afterwards what it was.
    """

    def __new__(cls) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_error: object) -> None: ...

@final
class LineStatistics:
    def __new__(cls) -> Self: ...
    def snapshot(self) -> dict[str, Any]: ...
    def guard(self, live: LineStatistics, most_traps: int) -> None:
        """Hold the actors of this revision once more than `most_traps` of them have trapped.

        That is where none of the `live` revision does from now on. What they are sent waits.
        """

    def unguard(self) -> None: ...
    @property
    def stopped(self) -> bool:
        """Whether they handle nothing any more."""

    def go_cold(self) -> None: ...
    def quantile(self, share: float) -> int:
        """Return the nanoseconds that this share of the calls did not exceed.

        They are known to one part in 16, from above. 0 where no calls are known.
        """

@final
class GuestLog:
    def __new__(cls, most: int) -> Self: ...
    def wait(self) -> bool: ...
    def take(self) -> list[dict[str, Any]]: ...
    def close(self) -> None: ...

@final
class Line:
    def __new__(
        cls,
        component: Component,
        *,
        number: int,
        limits: Limits,
        wasi: Wasi,
        functions: list[Callable[..., Any]],
        instances: int,
        waiting: int,
        statistics: LineStatistics,
        services: Sequence[Service],
        log: tuple[GuestLog, str] | None = None,
    ) -> Self: ...
    def warm(self) -> None: ...
    @property
    def number(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def instances(self) -> int: ...
    @property
    def memory(self) -> int: ...
    def kill_after(self, seconds: float) -> None: ...
    def kill(self) -> None: ...
    def wait_drained(self, seconds: float) -> bool: ...

@final
class Recording:
    """Calls that are kept: the latest, within bounds; made again on another revision."""

    def __new__(cls, share_of: float, *, calls: int, bytes: int) -> Recording:
        """Keep nothing yet.

        Args:
            share_of: Of the calls, those that are kept, from 0.0 to 1.0.
            calls: How many at most.
            bytes: Bytes of their arguments at most.
        """

    @property
    def holds(self) -> tuple[int, int, int]:
        """Calls that are kept, their bytes, and calls that could not be kept."""

    def replay(
        self,
        control: Line,
        copy: Line,
        *,
        storage: StorageNamespace | None,
        ignored: Sequence[str],
        seconds: float,
    ) -> tuple[int, int, int, int, list[tuple[str, str, str, str]]]:
        """Make the calls again on two lines without effects. Blocks.

        Args:
            control: A line of the live revision.
            copy: A line of the new one.
            storage: Of what they store in; what a call writes is thrown away.
            ignored: Paths of functions whose calls are not made.
            seconds: For how long.

        Returns:
            The calls that both answered alike, that the new one answered otherwise, that the live
            one answered otherwise than it did, and that were left out; of the first that differ
            the function, its arguments and both answers, in shortened text.
        """

@final
class Route:
    def __new__(cls, name: str) -> Self: ...
    def switch(self, line: Line) -> None: ...
    def split(
        self,
        candidate: Line,
        weight: float,
        *,
        salt: bytes,
        slow: Sequence[int] = ...,
        most_traps: int | None = None,
    ) -> Trial:
        """Let `candidate` take a share of the calls beside the live line.

        A call with a key is decided by a hash of the salt and the key: it stays where it is as long
        as the weight does, and as the weight grows keys move to the candidate only. Calls without a
        key are decided independently of each other. `switch`, `hold` and `close` end the trial, and
        both of its lines.

        Args:
            candidate: A line that is not in use.
            weight: The share, from 0.0 to 1.0.
            salt: A secret of this trial.
            slow: Nanoseconds; a call that takes longer than one of them is bad of that signal.
            most_traps: Traps of the candidate that are let pass where the live line has none. With
                one more it takes no call any more. None for any number.

        Raises:
            TrialRunning: There is a trial already.
            HostClosed: No line is live.
            ValueError: The weight is no share.
        """

    def record(self, recording: Recording | None) -> None:
        """Keep calls from now on, while no trial runs; none where it is None."""

    def shadow(
        self,
        candidate: Line,
        share: float,
        *,
        control: Line,
        copy: Line,
        storage: StorageNamespace | None,
        salt: bytes,
        slow: Sequence[int] = ...,
    ) -> Trial:
        """Copy a share of the calls, once they are answered; no caller waits for a copy.

        Few copies run at once; while they do, further calls are left out. Of the trial's stages
        `weight` is 0.5, since both lines get the same calls, and there is a signal `answer`:
        copies that were answered otherwise than their callers.

        Args:
            candidate: A line that takes no calls before the trial is finished with it.
            share: Of the calls, from 0.0 to 1.0.
            control: A line of the live revision, without effects.
            copy: A line of the candidate's revision, without effects.
            storage: Of what they store in: a copy finds it as its call did, and what it writes is
                thrown away. None where they store nothing.
            salt: A secret of this trial.
            slow: Nanoseconds; a copy that takes longer than one of them is bad of that signal.

        Raises:
            TrialRunning: There is a trial already.
            HostClosed: No line is live.
            ValueError: The share is none.
        """

    def hold(self) -> None: ...
    def close(self) -> None: ...
    def call(
        self,
        path: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        key: bytes | None = None,
    ) -> Any: ...
    def call_async(
        self,
        path: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        key: bytes | None = None,
    ) -> Awaitable[Any]: ...

@final
class Trial:
    """A candidate beside the live revision; made by `Route.split`."""

    def set_weight(self, weight: float) -> None:
        """Let the candidate take another share of the calls; a new stage begins.

        Raises:
            TrialOver: It was finished, or the route was switched, held or closed.
            ValueError: The weight is no share.
        """

    def stages(self) -> list[Stage]:
        """Return what was counted in each stage so far, the first one first.

        Calls in flight count, once they end, in the stage that they began in; so a stage that is
        over may still grow. What `watch` returned is not readable afterwards, until the next call
        that is bad.
        """

    def watch(self) -> int:
        """Return a descriptor that is readable once there was a bad call since `stages`.

        It is closed with the trial, not by the caller.
        """

    @property
    def stopped(self) -> bool:
        """Whether the candidate takes no call any more, because it trapped."""

    @property
    def copied(self) -> tuple[int, int] | None:
        """Calls whose copies were compared, and those that were left out; None of a split."""

    def finish(self, promote: bool) -> None:
        """End the trial: with the candidate as the live line, or without it.

        The other line takes no calls any more. Those it has go on; `Line.kill_after` bounds them.

        Raises:
            TrialOver: As `set_weight`.
        """

@final
class HostCalls:
    """What guests of calls from outside ask of Python, until an event loop answers it."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...

@final
class Ingress:
    """HTTP to deployments. Each rule is a tuple.

    Its host or None, whether its path is exact, the path, how requests are handled (`http`,
    `functions`, `function`), the function of the last, where the key is (`header` or `cookie`, and
    its name), and the route.

    Raises:
        ValueError: A rule is none, or two are for the same.
        OSError: The address cannot be listened on.
    """

    def __new__(
        cls,
        listen: str,
        given: list[_HttpRule],
        host_calls: HostCalls,
        *,
        connections: int,
        requests: int,
        waiting: int,
        patience: float,
        header_bytes: int,
        headers: int,
        body_bytes: int,
        header_time: float,
        silence: float,
        request_time: float,
    ) -> Self: ...
    @property
    def address(self) -> str: ...
    def statistics(self) -> dict[str, int]: ...
    def set_rules(self, given: list[_HttpRule]) -> None: ...
    def close(self, drain: float) -> None: ...

@final
class Stage:
    """What was counted while the weight stayed the same."""

    @property
    def weight(self) -> float: ...
    @property
    def calls(self) -> tuple[int, int]:
        """Calls that ended: of the live revision and of the candidate."""

    @property
    def bad(self) -> dict[str, tuple[int, int]]:
        """By signal, the calls that were bad of it: of the live revision and of the candidate.

        `error`: a trap, a limit, a timeout, a failed host function, an HTTP answer of 500 or above;
        `trap`, which counts as an error too; `slow0`, `slow1` and so on in the order of `slow`. Not
        what a caller cancelled, unless it was slow. Calls with the same key count once for each
        signal.
        """

@final
class AuditLog:
    """The writing side of the one log of decisions; one process owns a directory.

    Records enter a shared file mapping before the effect they describe, so that the death of the
    process loses none; groups of them are made durable in the background.

    Args:
        directory: Where the segments are; made with mode 0700 if missing.
        key: Seed of the Ed25519 key (32 bytes) that signs checkpoints.
        segment_bytes: Size of one segment; twice this is reserved on disk. At least 64 KiB.
        group: The most records that a power failure can lose.
        flush_interval: Seconds between two groups.
        checkpoint: The newest checkpoint known elsewhere; a log behind it is refused.
        acknowledge_truncation: Go on with a log that is behind its checkpoint; the fact is
            recorded.
        masks: Texts that must not appear in the log.

    Raises:
        AirsSysError: `audit-locked`, `audit-truncated`, `audit-corrupt`, `audit-full`,
            `audit-checkpoint`, `audit-key`.
        OSError: The directory cannot be used.
    """

    def __new__(
        cls,
        directory: str | PathLike[str],
        *,
        key: bytes | None = None,
        segment_bytes: int = 16777216,
        group: int = 16384,
        flush_interval: float = 0.05,
        checkpoint: bytes | None = None,
        acknowledge_truncation: bool = False,
        masks: Sequence[str] = ...,
    ) -> Self: ...
    def record(
        self,
        subject: Subject | None,
        operation: str,
        target: str | bytes,
        decision: str,
        *,
        rule: str = "",
        detail: str | None = None,
        must_audit: bool = False,
    ) -> int:
        """Record something besides decisions; the number of the record.

        `operation` is two words joined by a dot, `decision` one word. With `must_audit` it returns
        when
        the record is on disk.
        """
    def flush(self) -> int:
        """Record the counts of coalesced denials, wait until all is on disk.

        The last record's number.
        """
    def checkpoint(self) -> bytes:
        """Make all durable and sign how far the log has come.

        One JSON line, also kept in the directory.
        """
    def set_masks(self, masks: Sequence[str]) -> None:
        """Replace the texts that must not appear in the log."""
    def prune(
        self, *, bytes: int | None = None, since: float | None = None
    ) -> dict[str, int] | None:
        """Remove whole segments, the oldest first, after recording so under a checkpoint.

        Args:
            bytes: Size of all segments together above which the oldest go.
            since: Seconds since 1970; segments with only older records go.

        Returns:
            segments, bytes, first, through (numbers of records); `None` when nothing went.

        Raises:
            AirsSysError: `audit-corrupt`: what would go is damaged, and stays.
        """
    def close(self) -> None:
        """Make all durable and end; later records are refused with `audit-closed`."""
    @property
    def sequence(self) -> int: ...
    @property
    def head(self) -> str: ...
    @property
    def durable(self) -> int: ...
    @property
    def directory(self) -> Path: ...
    @property
    def recovered(self) -> dict[str, Any]:
        """What opening found and repaired.

        ending, records, quarantined, quarantined_bytes, coalesced_recovered,
        truncation_acknowledged.
        """

@final
class AuditReader:
    """Search or follow a log, also from another process. All filters given must hold.

    Args:
        directory: The log's directory.
        after: Only records with greater numbers.
        principal: Exact name.
        operation: Whole name, or the part before its dot.
        target: A part of the target.
        decision: Exact word.
        rule: Exact id.
        since: Seconds since 1970, by the writer's clock.
        until: Seconds since 1970, by the writer's clock.
    """

    def __new__(
        cls,
        directory: str | PathLike[str],
        *,
        after: int = 0,
        principal: str | None = None,
        operation: str | None = None,
        target: str | None = None,
        decision: str | None = None,
        rule: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Self: ...
    def read(self, limit: int = 1000, timeout: float = 0.0) -> list[bytes]:
        """Read the next records as JSON lines; waits up to `timeout` seconds for the first."""

@final
class Subject:
    """A principal in the situation in which it acts.

    Make one per context: it keeps its compiled rules.

    Args:
        name: What rules name it by.
        roles: Its roles, inheritance already resolved.
        namespace: Its tenant.
        id: What `self` means in rules; never reused. Default: the name.
        attributes: What conditions look at; wins over the attributes of a single access.
        enforcement: `enforce`, `observe` (until `observe_until`) or `learn`.
        observe_until: Seconds since 1970.
        deployment: For the records.
        revision: For the records.
        caller: Who called; the first of the chain is the original caller.
        callers: The whole chain of those who called, instead of `caller`.
        trace_id: For the records.
        session: For the records.
        audit_rate: Records per second before it is slowed and its denials are counted; None for
            any.
        audit_burst: Records at once.
        guest: Whether an untrusted guest speaks.
    """

    def __new__(
        cls,
        name: str,
        *,
        roles: Sequence[str] = ...,
        namespace: str | None = None,
        id: str | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        enforcement: Literal["enforce", "observe", "learn"] = "enforce",
        observe_until: float | None = None,
        deployment: str | None = None,
        revision: int | None = None,
        caller: Subject | None = None,
        callers: Callers | None = None,
        trace_id: str | None = None,
        session: str | None = None,
        audit_rate: float | None = None,
        audit_burst: int = 1000,
        guest: bool = False,
    ) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> list[str]: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def id(self) -> str: ...
    @property
    def enforcement(self) -> str: ...
    @property
    def deployment(self) -> str | None: ...
    @property
    def revision(self) -> int | None: ...
    @property
    def callers(self) -> tuple[str, ...]: ...
    @property
    def trace_id(self) -> str | None: ...
    @property
    def session(self) -> str | None: ...
    def with_attributes(self, attributes: Mapping[str, Attribute]) -> Subject: ...
    def with_trace(self, trace_id: str | None) -> Subject: ...
    def as_code(self) -> Subject:
        """The same subject as Python code that acts for a component.

        Code asks for nothing and is granted nothing: the policy decides.
        """

@final
class Callers:
    """A chain of callers. It is bounded: beyond 16 principals the middle is left out.

    Args:
        subject: Who calls: its own callers come first, then itself.
    """

    def __new__(cls, subject: Subject) -> Self: ...
    @property
    def names(self) -> tuple[str, ...]:
        """Names of principals, the original caller first; `… more` where some are left out."""
    @property
    def subject(self) -> Subject:
        """Who called last, acting for those before it."""
    @property
    def gate(self) -> int:
        """The number of the gate that decides for who called last; 0 where it is not known."""

@final
class Decision:
    """A decision that is on record. It has no truth value: look at `allowed` or `effect`."""

    @property
    def allowed(self) -> bool: ...
    @property
    def effect(self) -> Literal["allow", "deny", "ask"]: ...
    @property
    def rule(self) -> str:
        """The rule's id, or the name of what always holds.

        `default-deny`, `default-allow`, `invalid-target`, `rule-error`, `reserved-object`,
        `hard-link`, `subtree-covered`, `audit-unavailable`.
        """
    @property
    def reason(self) -> str: ...
    @property
    def sequence(self) -> int:
        """Number of the record.

        0 when it was counted with an earlier one or could not be written.
        """
    @property
    def observed(self) -> bool: ...
    @property
    def alarm(self) -> bool: ...
    @property
    def delay(self) -> float:
        """Seconds that the subject should wait, being over its budget of records."""
    @property
    def generation(self) -> int: ...
    @property
    def target(self) -> str: ...

@final
class Explanation:
    """What the rules say of an access: `matched` lists (rule, effect, why it counted or not).

    `access` and `target` are in the words of records: normalised, a method without a name of its
    own as `other`.
    """

    @property
    def effect(self) -> Literal["allow", "deny", "ask"]: ...
    @property
    def rule(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def position(self) -> str | None: ...
    @property
    def access(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def matched(self) -> list[tuple[str, str, str]]: ...

@final
class OpenedFile:
    """A descriptor and what it is of, at the time of opening. Closed on drop unless taken."""

    @property
    def fd(self) -> int: ...
    def take(self) -> int:
        """Hand the descriptor over; the caller closes it."""
    def close(self) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def path_bytes(self) -> bytes: ...
    @property
    def device(self) -> int: ...
    @property
    def inode(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def mode(self) -> int: ...
    @property
    def links(self) -> int: ...
    @property
    def created(self) -> bool: ...
    @property
    def generation(self) -> int: ...
    @property
    def interpreter(self) -> str | None: ...
    @property
    def decision(self) -> Decision: ...

@final
class Replacement:
    """A new file that takes the place of an old one in one step, or not at all. Aborts on drop."""

    @property
    def fd(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def decision(self) -> Decision: ...
    def commit(self) -> None:
        """Make the content durable and put it in place.

        Decided again if rights changed meanwhile.
        """
    def abort(self) -> None: ...

@final
class Questions:
    """Where gates put what their rules leave to a person.

    Args:
        people: Returns the object that is told of questions, or None when that is gone. A thread
            of its own calls its `put(number, principal, roles, callers, session, trace_id, kind,
            access, target, rule)`, and `withdraw(number)` when nobody waits any more.
        timeout: Seconds. A question that is open somewhat longer is refused from here.
    """

    def __new__(cls, people: Callable[[], object], timeout: float) -> Self: ...
    def answer(self, number: int, approved_by: str | None, reason: str = "") -> None:
        """Answer a question: who agreed, or None and why not. The second answer is ignored."""

    def close(self) -> None:
        """Refuse what waits, and all that is asked from now on."""

@final
class Gate:
    """Everything that decides: rules, enforcement, the audit log.

    Thread safe; starts refusing everything.
    `/proc`, `/sys` and the log's own directory are reserved: no grant reaches them.
    """

    def __new__(
        cls, audit: AuditLog, *, reserved: Sequence[str | bytes | PathLike[str]] = ...
    ) -> Self: ...
    def load(self, rules: bytes) -> int:
        """Replace all rules for everybody at once (JSON document); the new generation.

        On an error the old rules stay.

        Raises:
            AirsSysError: `rule-invalid` with rule, index, position, field in the context.
        """
    def load_own(self, rules: Sequence[tuple[str, bytes | None]]) -> int:
        """Replace the rules that some principals have alone; the new generation.

        Each is a name and a document of rules for it alone; `None` takes its rules away. Nothing
        else is compiled again. On an error the old rules stay.

        Raises:
            AirsSysError: `rule-invalid` as of `load`, also for a rule that names somebody else.
        """
    @staticmethod
    def check(rules: bytes) -> None:
        """Raise what `load` would raise for these rules."""
    @property
    def number(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def rule_count(self) -> int: ...
    def advance(self) -> int: ...
    def reserve(self, path: str | bytes | PathLike[str]) -> None:
        """Deny what is at `path` now, with everything below it, to everybody."""
    def decide(
        self,
        subject: Subject,
        kind: str,
        access: str,
        target: str | bytes,
        attributes: Mapping[str, Attribute] | None = None,
        *,
        address: str | None = None,
        transport: str = "tcp",
        arguments: Sequence[str | bytes] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> Decision:
        """Decide one access and record the decision. A refusal is a result, never an exception."""
    def explain(
        self,
        subject: Subject,
        kind: str,
        access: str,
        target: str | bytes,
        attributes: Mapping[str, Attribute] | None = None,
        *,
        address: str | None = None,
        transport: str = "tcp",
        arguments: Sequence[str | bytes] | None = None,
    ) -> Explanation:
        """Say what `decide` would answer and why; nothing is recorded."""
    def path_grants(self, subject: Subject) -> list[tuple[str, bool, list[str]]]:
        """The rights to whole files or trees (path.

        Whole tree, accesses) that no exception touches.
        """
    def learned(self, subject_name: str) -> list[tuple[str, str, str]]:
        """The accesses (kind, access, target) that a subject used while learning."""
    def open(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        mode: Literal["read", "write", "append", "update", "create"],
        *,
        truncate: bool = False,
        permissions: int = 0o666,
        hard_links: bool = False,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> OpenedFile:
        """Open a regular file.

        Resolved once, decided by its real path, opened as that very object.
        """
    def open_directory(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> OpenedFile:
        """Open a directory to list it (`os.scandir(opened.fd)`)."""
    def open_path(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        follow: bool = True,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> OpenedFile:
        """Open whatever is there with O_PATH, to look at its metadata (`os.fstat(opened.fd)`)."""
    def open_executable(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        arguments: Sequence[str | bytes] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> OpenedFile:
        """Open a program, decided as process spawn with its arguments (without its name)."""
    def replace(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        permissions: int = 0o666,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> Replacement:
        """Begin to replace or make a file; nothing is visible before `commit`."""
    def unlink(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> Decision:
        """Remove a file or link."""
    def remove_directory(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> Decision:
        """Remove an empty directory."""
    def make_directory(
        self,
        subject: Subject,
        path: str | bytes | PathLike[str],
        *,
        permissions: int = 0o777,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> Decision:
        """Make a directory."""
    def rename(
        self,
        subject: Subject,
        source: str | bytes | PathLike[str],
        destination: str | bytes | PathLike[str],
        *,
        replace: bool = True,
        attributes: Mapping[str, Attribute] | None = None,
        approved_by: str | None = None,
        must_audit: bool = False,
        detail: str | None = None,
    ) -> Decision:
        """Give a file or directory another name: read and delete there, create and write here."""

@final
class Child:
    """A child that was started confined.

    Reap it with `os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)`.
    """

    @property
    def pid(self) -> int: ...
    @property
    def pidfd(self) -> int: ...
    @property
    def confinement(self) -> dict[str, Any]:
        """What the kernel enforces.

        Landlock, network, scoped, no_new_privileges, session, closed, limits, left_out (granted
        paths that are missing, or that a symbolic link stands in the way of).
        """

def spawn_confined(
    executable: int,
    argv: Sequence[str | bytes],
    *,
    environment: Mapping[str, str] = ...,
    directory: int | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = ...,
    read: Sequence[str | PathLike[str]] = ...,
    write: Sequence[str | PathLike[str]] = ...,
    execute: Sequence[str | PathLike[str]] = ...,
    connect_ports: Sequence[int] | None = ...,
    bind_ports: Sequence[int] | None = ...,
    system_libraries: bool = True,
    limits: Mapping[str, int] = ...,
    required: bool = True,
) -> Child:
    """Start a program that is already open, confined by the kernel before it runs.

    Descriptors given stay the caller's. What is not granted is refused by Landlock;
    `required=False`
    degrades where the kernel lacks it, and `Child.confinement` says so. Limits (cpu seconds;
    memory,
    file_size, core, stack bytes; files; processes) become hard resource limits.

    Raises:
        AirsSysError: `confinement-unavailable`.
        OSError: The kernel does not start the program.
    """

def audit_verify(
    directory: str | PathLike[str],
    *,
    public_key: bytes | None = None,
    checkpoint: bytes | None = None,
) -> dict[str, Any]:
    """Follow the chain of a whole log and check its checkpoints.

    Returns:
        records, coalesced, first, last, head, segments, checkpoints, pruned_through,
        acknowledged.

    Raises:
        AirsSysError: `audit-corrupt` (segment, offset, sequence), `audit-truncated` (checkpoint
            and last, or first where the beginning is missing), `audit-checkpoint`.
    """

def audit_plan_pruning(
    directory: str | PathLike[str], *, bytes: int | None = None, since: float | None = None
) -> dict[str, int] | None:
    """What `AuditLog.prune` would remove, also from a log that is in use.

    Raises:
        AirsSysError: `audit-corrupt`.
    """

def audit_public_key(seed: bytes) -> bytes:
    """The public half (32 bytes) of an audit key."""

def inotify_create() -> int:
    """An inotify descriptor that does not block; the caller closes it."""

def inotify_add(inotify: int, descriptor: int, mask: int) -> int:
    """Watch what a descriptor names; return the number of the watch.

    Raises:
        OSError: The kernel refuses, for example because the user has too many watches.
    """

@final
class Storage:
    def __new__(
        cls, path: str | PathLike[str] | None, *, relaxed: float | None, cache: int
    ) -> Self: ...
    @property
    def place(self) -> Path: ...
    @property
    def transactions(self) -> int: ...
    def namespace(
        self, name: str, *, bytes: int, keys: int, key: int, value: int
    ) -> StorageNamespace: ...
    def namespaces(self) -> StorageOperation: ...
    def backup(self, path: str | PathLike[str]) -> StorageOperation: ...
    def copy_to(self, target: Storage) -> StorageOperation: ...
    def flush(self) -> StorageOperation: ...
    def close(self) -> None: ...

@final
class StorageNamespace(Service):
    @property
    def name(self) -> str: ...
    @property
    def quota(self) -> tuple[int, int, int, int]: ...
    def get(self, key: str) -> StorageOperation: ...
    def page(
        self, prefix: str, after: str | None, limit: int, values: bool
    ) -> StorageOperation: ...
    def usage(self) -> StorageOperation: ...
    def apply(self, parts: list[tuple[Any, ...]]) -> StorageOperation: ...
    def clear(self) -> StorageOperation: ...
    def watch(self, prefix: str, capacity: int) -> StorageWatcher: ...

@final
class StorageOffers(Service):
    def __new__(cls) -> Self: ...
    def offer(
        self, name: str, namespace: StorageNamespace, gate: Gate, subject: Subject
    ) -> None: ...
    def withdraw(self, name: str) -> None: ...

@final
class StorageWatcher:
    def next(self, most: int) -> StorageOperation: ...

@final
class StorageOperation:
    """One operation on storage; waited for once, by a thread or by an event loop."""

    def wait(self) -> Any: ...
    def start(self) -> Any: ...
    def result(self) -> Any: ...
    def stop(self) -> None: ...

def toml_parse(text: str) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """A TOML document, and the lines on which the tables in its top-level lists begin, by name.

    Raises:
        AirsSysError: `toml-invalid` (line, column, counted from 1).
    """

def toml_position(text: str, path: Sequence[str | int]) -> tuple[int, int]:
    """Line and column, counted from 1, of the deepest part of `path` that a document has.

    Raises:
        AirsSysError: `toml-invalid`.
    """

def capacity() -> tuple[int, int]: ...
def parse_call(component: Component, text: str) -> tuple[str, tuple[Any, ...]]: ...
def normal_result(component: Component, path: str, text: str) -> str | None: ...
def print_result(component: Component, path: str, value: object, *, error: bool) -> str | None: ...
def read_world(wit: str | PathLike[str], world: str | None = None) -> dict[str, Any]: ...
def describe_wit(
    *,
    folder: str | PathLike[str] | None = None,
    content: bytes | None = None,
    world: str | None = None,
) -> str: ...
def c_bindings(wit: str | PathLike[str], world: str | None = None) -> dict[str, bytes]: ...
def componentise(
    module: bytes, wit: str | PathLike[str] | None = None, world: str | None = None
) -> bytes: ...

@disjoint_base
class Service:
    """A host service that instances can be given; made by the service's own class."""

@final
class MessageRights:
    """Whom a component may send to. Nothing is allowed that is not listed, or granted by a rule.

    Patterns: `*` stands for one segment, `**` for any number; deployments have segments separated
    by `/`, topics words separated by dots.
    """

    def __new__(
        cls,
        *,
        send: Sequence[str] = ...,
        ask: Sequence[str] = ...,
        broadcast: Sequence[str] = ...,
        publish: Sequence[str] = ...,
        subscribe: Sequence[str] = ...,
    ) -> Self: ...
    @staticmethod
    def by_rules(gate: Gate, subject: Subject, questions: Questions | None = None) -> MessageRights:
        """Rights that `subject` has by the rules of `gate`; decisions are audited.

        What rules say to ask for goes to `questions`; without, it is refused.
        """

    def replace(
        self,
        *,
        send: Sequence[str] = ...,
        ask: Sequence[str] = ...,
        broadcast: Sequence[str] = ...,
        publish: Sequence[str] = ...,
        subscribe: Sequence[str] = ...,
    ) -> None:
        """Put another list in place of the present one; what it no longer holds ends at once.

        Raises:
            ValueError: A pattern cannot be read, or the rights come from the rules of a gate.
        """

_PortMessage: TypeAlias = tuple[
    Port, str, bytes, Literal[0, 1, 2], int, float, str | None, str | None, int, Callers | None
]
_PlaneEvent: TypeAlias = tuple[str, str, int, dict[str, Any]]

@final
class Bridge:
    """What one event loop gets from a plane: outcomes, messages for ports, events."""

    def drain(self) -> None: ...
    def close(self) -> None:
        """Deliver nothing any more; what futures of this loop wait for is cancelled with them."""

@final
class Port:
    """A Python actor as components see it."""

    @property
    def address(self) -> str: ...
    def credit(self, messages: int, size: int) -> None:
        """Give the slots of handled messages back; `size` is the sum of their payloads' bytes."""

    def reply(self, token: int, payload: bytes | None) -> bool:
        """Answer an ask. False if its asker does not wait any more.

        Raises:
            ValueError: The payload has no codec prefix.
        """

    def refuse(self, token: int, message: str) -> bool:
        """Fail only the ask. False if its asker does not wait any more."""

    def fail(self, token: int, message: str, reason: str = "failed") -> bool:
        """Tell an asker that there will be no answer, with the reason of the dead letter."""

    def subscribe(self, pattern: str) -> None: ...
    def unsubscribe(self, pattern: str) -> bool: ...
    def counts(self) -> tuple[int, int, int]:
        """Messages accepted and refused so far, and slots that are free."""

    def close(self) -> None:
        """Take nothing any more. Open asks fail, the address is free."""

@final
class ComponentActor:
    """The handle of one actor made of a component. The mailbox belongs to the address."""

    @property
    def address(self) -> str: ...
    @property
    def deployment(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def state(
        self,
    ) -> Literal["starting", "running", "suspended", "restarting", "stopping", "stopped"]: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def queued(self) -> int: ...
    @property
    def exports(self) -> frozenset[str]: ...
    def tell(
        self,
        payload: bytes | bytearray | memoryview,
        *,
        priority: int = 1,
        ttl: float | None = None,
        sender: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Put a message in the mailbox. Never waits; raises what `errors` makes of a refusal."""

    def send(
        self,
        payload: bytes | bytearray | memoryview,
        timeout: float,
        *,
        priority: int = 1,
        ttl: float | None = None,
        sender: str | None = None,
        trace: str | None = None,
    ) -> Future[None]:
        """Put a message in the mailbox as soon as there is room."""

    def ask(
        self,
        payload: bytes | bytearray | memoryview,
        timeout: float,
        *,
        priority: int = 1,
        sender: str | None = None,
        trace: str | None = None,
        waiting: Port | None = None,
    ) -> Future[bytes | None]:
        """Ask; sent when called. Cancelling the future cancels the ask."""

    def ask_blocking(
        self,
        payload: bytes | bytearray | memoryview,
        timeout: float,
        *,
        priority: int = 1,
        sender: str | None = None,
        trace: str | None = None,
    ) -> bytes | None:
        """Ask and block this thread until the answer is there."""

    def start(self, restore: bytes | None = None, version: str | None = None) -> Future[None]:
        """Begin an incarnation, from a snapshot; one of another `version` is migrated first."""

    def prepare(
        self,
        component: Component,
        hand_over: str,
        *,
        version: str | None = None,
        given: bytes | None = None,
        limits: Limits | None = None,
        wasi: Wasi | None = None,
        services: Sequence[Service] = ...,
        accepts: Sequence[int] = ...,
        config: Sequence[tuple[str, Any]] | None = None,
        statistics: LineStatistics | None = None,
        timeout: float = 5.0,
        shutdown: float = 5.0,
    ) -> Future[bytes | None]:
        """Get another revision's instance ready beside the present one; `decide` follows.

        `hand_over` is `nothing`, `restore`, `migrate` (from `version`) or `given`.

        Returns:
            The state that the present one leaves, if it has any.
        """

    def decide(self, takes: bool) -> Future[str | None]:
        """Let the instance that is ready take over, or drop it."""

    @property
    def about(self) -> dict[str, Any] | None:
        """What the component said of itself at its first start."""

    @property
    def accepts(self) -> list[int]:
        """The codecs that are taken now; none means every known one."""

    def subscribe(self, pattern: str) -> None: ...
    def unsubscribe(self, pattern: str) -> bool: ...
    def hook_messages(self, on: bool) -> None:
        """Say whether `message` events ask about each message."""

    def hook_done(self, token: int, refusal: str | None = None) -> None:
        """Answer a `message` event."""

    def restart(self, restore: bytes | None = None) -> Future[None]: ...
    def stop(
        self, *, drain: bool = False, timeout: float = 5.0, reason: str = "stopped"
    ) -> Future[str]: ...
    def retire(self, *, timeout: float = 5.0, reason: str = "replaced") -> Future[str]:
        """End the incarnation in order; the mailbox stays for the next one."""

    def keep_state(self, keep: bool) -> None:
        """Say whether an incarnation that ends in order leaves its state, for `parting`."""

    def parting(self) -> bytes | None:
        """Return the state that the last incarnation left, once."""

    def kill(self) -> Future[str]: ...
    def fail(self, message: str = "its supervisor says so") -> Future[str]: ...
    def discard(self) -> None: ...
    def suspend(self) -> None: ...
    def resume(self) -> None: ...
    def upgrade(
        self,
        component: Component,
        *,
        limits: Limits | None = None,
        wasi: Wasi | None = None,
        services: Sequence[Service] = ...,
        accepts: Sequence[int] = ...,
        config: Sequence[tuple[str, Any]] | None = None,
        statistics: LineStatistics | None = None,
    ) -> None: ...
    def regrant(self, gate: MessageRights | None) -> None: ...
    def health(self, timeout: float) -> Future[tuple[str, str]]: ...
    def metadata(self, timeout: float) -> Future[dict[str, Any]]: ...
    def snapshot(self, timeout: float) -> Future[bytes]: ...
    def migrate(
        self, version: str, snapshot: bytes | bytearray | memoryview, timeout: float
    ) -> Future[bytes]: ...
    def inspect(self) -> dict[str, Any]: ...
    def statistics(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Plane:
    """Actors made of components, and the ways between them and Python."""

    def __new__(
        cls,
        errors: Callable[[str, str, dict[str, Any]], BaseException],
        *,
        threads: int = 2,
        virtual: bool = False,
        log_ring: int = 1000,
    ) -> Self: ...
    @property
    def now(self) -> float: ...
    def connect(
        self,
        on_messages: Callable[[list[_PortMessage]], object],
        on_events: Callable[[list[_PlaneEvent]], object],
    ) -> Bridge: ...
    def spawn(
        self,
        address: str,
        component: Component,
        *,
        limits: Limits | None = None,
        wasi: Wasi | None = None,
        services: Sequence[Service] = ...,
        gate: MessageRights | None = None,
        accepts: Sequence[int] = ...,
        config: Sequence[tuple[str, Any]] | None = None,
        capacity: int = 1000,
        capacity_bytes: int = ...,
        overflow: str = "fail",
        message_size: int = ...,
        statistics: LineStatistics | None = None,
    ) -> ComponentActor: ...
    def port(
        self,
        address: str,
        bridge: Bridge,
        *,
        capacity: int = 1000,
        capacity_bytes: int = ...,
        accepts: Sequence[int] = ...,
        message_size: int = ...,
    ) -> Port: ...
    def find(self, address: str) -> ComponentActor | None: ...
    def actors(self) -> list[ComponentActor]: ...
    def publish(
        self,
        topic: str,
        payload: bytes | bytearray | memoryview,
        *,
        sender: str | None = None,
        trace: str | None = None,
    ) -> tuple[int, int]: ...
    def publish_inside(
        self,
        topic: str,
        forms: Sequence[bytes | bytearray | memoryview],
        *,
        priority: int = 1,
        sender: str | None = None,
        trace: str | None = None,
    ) -> tuple[int, int]:
        """Publish to components alone, in the first of the forms that each accepts."""

    def accepted_inside(self, topic: str) -> list[list[int]]:
        """Return what each of the components that would receive a topic accepts."""

    def logs(self, deployment: str, since: int = 0) -> list[tuple[Any, ...]]: ...
    def statistics(self) -> dict[str, int]: ...
    def close(self) -> None: ...
    def run(self) -> int: ...
    def next_timer(self) -> float | None: ...
    def advance(self, to: float) -> None: ...
    def on_ready(self, wake: Callable[[], object] | None) -> None: ...
