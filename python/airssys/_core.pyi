"""The native module: component engine, instances, gate. Private; use `airssys.wasm` and `airssys.osl`."""

from collections.abc import Callable, Generator
from typing import Any, Self, final

__file__: str

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
        coredump: bool,
    ) -> Self: ...

@final
class Wasi:
    def __new__(
        cls,
        *,
        arguments: list[str],
        environment: list[tuple[str, str]],
        directories: list[tuple[str, str, bool]],
        connect: list[str],
        listen: list[str],
        http: list[str],
        addresses: list[str],
        stdin: bytes | None,
        stdout: str,
        stderr: str,
        capture_bytes: int,
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

    def __getitem__(self, path: str) -> Function:
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

        The first slice runs inline when the result is awaited, for at most a millisecond; the rest on
        other threads. Cancelling drops the call with its store, which poisons the instance.
        """

    @property
    def signature(self) -> str:
        """What the function takes and gives, as in WIT."""

    @property
    def __name__(self) -> str: ...

@final
class Awaitable[T]:
    """A call to be awaited, once."""

    def __await__(self) -> Generator[Any, None, T]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, _value: object, /) -> Any: ...
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
class LineStatistics:
    def __new__(cls) -> Self: ...
    def snapshot(self) -> dict[str, Any]: ...

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
class Route:
    def __new__(cls, name: str) -> Self: ...
    def switch(self, line: Line) -> None: ...
    def hold(self) -> None: ...
    def close(self) -> None: ...
    def call(
        self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> Any: ...
    def call_async(
        self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> Awaitable[Any]: ...
