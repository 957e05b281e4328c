"""What can go wrong with components, their instances and calls."""

from __future__ import annotations

from airssys.errors import AirsSysError

__all__ = [
    "CompileError",
    "ComponentTooLarge",
    "EngineError",
    "ForkedHostError",
    "GuestExit",
    "HostShutDown",
    "InstanceBusy",
    "InstancePoisoned",
    "InvalidComponent",
    "LimitExceeded",
    "LinkError",
    "PoolExhausted",
    "Trap",
    "UnknownExport",
    "UnknownImport",
]


class EngineError(AirsSysError):
    """The engine cannot run on this machine, or broke a promise of its own."""

    default_code = "engine-error"


class ForkedHostError(AirsSysError):
    """Components were used in a process forked from one that had loaded some."""

    default_code = "forked-host"


class HostShutDown(AirsSysError):
    """The interpreter is ending; no guest runs any more."""

    default_code = "host-shut-down"


class InvalidComponent(AirsSysError):
    """The bytes are no component: foreign, broken, or a core module.

    Attributes:
        reason: `"core-module"` for a core module, else None.
    """

    default_code = "invalid-component"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


class ComponentTooLarge(AirsSysError):
    """A component exceeds a static limit, so it is not compiled.

    Attributes:
        what: What there is too much of, such as `"functions"`.
        found: How much there is.
        most: How much is accepted.
    """

    default_code = "component-too-large"

    def __init__(self, message: str, *, what: str, found: int, most: int) -> None:
        super().__init__(message, what=what, found=found, most=most)
        self.what = what
        self.found = found
        self.most = most


class CompileError(AirsSysError):
    """Compiling was stopped: by a signal, or by the bounds on the compiling process."""

    default_code = "compile-stopped"


class LinkError(AirsSysError):
    """A component's imports and what is provided do not fit together."""

    default_code = "link-error"


class UnknownImport(LinkError):
    """Nothing provides an import of the component.

    Attributes:
        name: The import.
        near: Names that are provided and resemble it, best first.
    """

    default_code = "unknown-import"

    def __init__(self, message: str, *, name: str, near: list[str]) -> None:
        super().__init__(message, name=name, near=near)
        self.name = name
        self.near = near


class UnknownExport(AirsSysError, KeyError):
    """The component has no export of this name.

    Attributes:
        name: The name asked for.
        near: Exports that resemble it, best first.
    """

    default_code = "unknown-export"

    def __init__(self, message: str, *, name: str, near: list[str]) -> None:
        super().__init__(message, name=name, near=near)
        self.name = name
        self.near = near


class InstanceBusy(AirsSysError):
    """The instance runs another call, and takes one at a time."""

    default_code = "instance-busy"


class InstancePoisoned(AirsSysError):
    """An earlier call of the instance trapped, hit a limit or was cancelled; its store is gone.

    Attributes:
        reason: What happened then.
    """

    default_code = "instance-poisoned"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


class PoolExhausted(AirsSysError):
    """The process has no room for another instance."""

    default_code = "pool-exhausted"


class Trap(AirsSysError):
    """The guest trapped; the instance is poisoned.

    Attributes:
        reason: What happened, in the engine's words.
        backtrace: A line per frame of the guest, innermost first, names demangled.
        component: Digest of the component, `sha256:…`.
        call: Path of the function that was called.
        coredump: A core dump in the WebAssembly tool convention's format, where
            `Limits(coredump=True)` asked for one.
    """

    default_code = "trap"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        backtrace: str,
        component: str,
        call: str,
        coredump: bytes | None,
    ) -> None:
        super().__init__(message, reason=reason, component=component, call=call)
        self.reason = reason
        self.backtrace = backtrace
        self.component = component
        self.call = call
        self.coredump = coredump
        if backtrace:
            self.add_note(f"guest backtrace, innermost first:\n{backtrace.rstrip()}")


class LimitExceeded(AirsSysError):
    """The guest reached one of its limits, and the instance is poisoned; or a ceiling is used up.

    Attributes:
        limit: Name of the limit, a field of `Limits` (or `"stack"`) or of `Ceilings`.
        configured: What it was set to: bytes, seconds, or a count.
        component: Digest of the component, `sha256:…`.
        call: Path of the function that was called.
        owner: Whose ceiling it is, such as `"namespace image"` or `"host"`; None for a limit of the
            instance itself.
    """

    default_code = "limit-exceeded"

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        configured: float,
        component: str,
        call: str,
        owner: str | None = None,
    ) -> None:
        super().__init__(
            message,
            limit=limit,
            configured=configured,
            component=component,
            call=call,
            owner=owner,
        )
        self.owner = owner
        self.limit = limit
        self.configured = configured
        self.component = component
        self.call = call


class GuestExit(AirsSysError):
    """The guest ended itself through `wasi:cli/exit` in the middle of a call.

    Attributes:
        status: The exit status: 0 for success.
    """

    default_code = "guest-exit"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, status=status)
        self.status = status
