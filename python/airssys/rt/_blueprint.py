"""What is known of an actor class: its handlers by message type, and which hooks it has."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from airssys.rt.errors import InvalidHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Blueprint", "Handler", "Marker", "blueprint_of"]

MARK = "__airssys_handles__"


class Marker:
    """What `@handles` leaves on a method."""

    __slots__ = ("active", "budget", "message_types", "reentrant", "retry")

    def __init__(
        self,
        message_types: tuple[type, ...],
        *,
        reentrant: bool,
        retry: int,
        active: bool,
        budget: float | None,
    ) -> None:
        self.message_types = message_types
        self.reentrant = reentrant
        self.retry = retry
        self.active = active
        self.budget = budget


class Handler:
    """One handler method, as the dispatcher needs it."""

    __slots__ = ("budget", "function", "name", "plain", "reentrant", "retry", "types")

    def __init__(
        self, function: Callable[..., Any], marker: Marker, message_types: tuple[type, ...]
    ) -> None:
        self.function = function
        self.name = getattr(function, "__name__", repr(function))
        self.plain = not inspect.iscoroutinefunction(function)
        self.reentrant = marker.reentrant
        self.retry = marker.retry
        self.budget = marker.budget
        self.types = message_types

    def __repr__(self) -> str:
        return f"<Handler {self.name}>"


class Hook:
    """A hook that a class overrides."""

    __slots__ = ("function", "plain")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.plain = not inspect.iscoroutinefunction(function)


class Blueprint:
    """The handlers and hooks of one actor class.

    Attributes:
        table: Handler by message type, for the behaviour an actor starts with. Shared by all
            actors of the class; subclasses of handled types are added as they turn up.
        handlers: Every handler by method name, inactive ones too.
    """

    __slots__ = ("failed", "handlers", "started", "stopped", "table", "traps")

    def __init__(self, cls: type, base: type, handlers: dict[str, tuple[Handler, bool]]) -> None:
        self.handlers = {name: handler for name, (handler, _) in handlers.items()}
        self.table: dict[type, Handler] = {}
        for handler, active in handlers.values():
            if active:
                add_to_table(cls, self.table, handler)
        self.started = _hook(cls, base, "started")
        self.stopped = _hook(cls, base, "stopped")
        self.failed = _hook(cls, base, "failed")
        self.traps = bool(getattr(cls, "trap_exits", False))


def add_to_table(cls: type, table: dict[type, Handler], handler: Handler) -> None:
    """Enter a handler for each of its types; two for one type are a mistake."""
    for message_type in handler.types:
        other = table.get(message_type)
        if other is not None and other is not handler:
            raise InvalidHandler(
                f"{cls.__qualname__}.{handler.name} and .{other.name} both handle "
                f"{message_type.__qualname__}; keep one, or mark one `active=False`",
                actor=cls.__qualname__,
            )
        table[message_type] = handler


def _hook(cls: type, base: type, name: str) -> Hook | None:
    function = getattr(cls, name)
    return None if function is getattr(base, name) else Hook(function)


def find_handler(table: dict[type, Handler], message_type: type) -> Handler | None:
    """The handler of the nearest base class of `message_type`; remembered in the table."""
    for base in message_type.__mro__[1:]:
        handler = table.get(base)
        if handler is not None:
            table[message_type] = handler
            return handler
    return None


class Unresolved(Exception):
    """An annotation names something that is not there yet."""


def resolve_handlers(
    cls: type, local_names: Mapping[str, Any] | None
) -> dict[str, tuple[Handler, bool]]:
    """Every handler of a class by name, with whether it is active at the start."""
    found: dict[str, tuple[Handler, bool]] = {}
    for name in dir(cls):
        function = inspect.getattr_static(cls, name, None)
        marker = _marker(cls, name)
        if isinstance(marker, Marker) and callable(function):
            message_types = marker.message_types or _annotated(cls, name, function, local_names)
            found[name] = (Handler(function, marker, message_types), marker.active)
    return found


def _marker(cls: type, name: str) -> object:
    """The mark of a method, or of the one that it overrides."""
    for base in cls.__mro__:
        marker = getattr(base.__dict__.get(name), MARK, None)
        if marker is not None:
            return marker
    return None


def _annotated(
    cls: type, name: str, function: Any, local_names: Mapping[str, Any] | None
) -> tuple[type, ...]:
    where = f"{cls.__qualname__}.{name}"
    plain = inspect.unwrap(function)
    parameters = list(inspect.signature(plain).parameters.values())
    if len(parameters) < 2:
        raise InvalidHandler(f"{where} must take the message as its parameter", actor=where)
    annotation = parameters[1].annotation
    if annotation is inspect.Parameter.empty:
        raise InvalidHandler(
            f"{where} does not say which message it takes; annotate its parameter "
            "or write @handles(MessageType)",
            actor=where,
        )
    if isinstance(annotation, str):
        names = dict(local_names or {})
        names.setdefault(cls.__name__, cls)
        try:
            annotation = eval(annotation, plain.__globals__, names)  # noqa: S307 - the program's own annotation
        except NameError as error:
            raise Unresolved(f"{where}: {error}") from error
    return _types_in(annotation, where)


def _types_in(annotation: Any, where: str) -> tuple[type, ...]:
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return tuple(
            found for part in typing.get_args(annotation) for found in _types_in(part, where)
        )
    if annotation is Any:
        return (object,)
    origin = typing.get_origin(annotation)
    if isinstance(origin, type):
        return (origin,)
    if isinstance(annotation, type):
        return (annotation,)
    raise InvalidHandler(
        f"{where} takes {annotation!r}, which is not a class; messages are told apart by class",
        actor=where,
    )


def names_of_caller(depth: int) -> dict[str, Any]:
    """The local names visible at a class statement, for messages defined in a function."""
    names: dict[str, Any] = {}
    frames: list[types.FrameType] = []
    frame: types.FrameType | None = sys._getframe(depth)
    while frame is not None and frame.f_code.co_name != "<module>" and len(frames) < 8:
        frames.append(frame)
        frame = frame.f_back
    for outer in reversed(frames):
        names.update(outer.f_locals)
    return names


def blueprint_of(cls: type, base: type) -> Blueprint:
    """The blueprint of a class, made at its first spawn when a message was defined after it."""
    known: Blueprint | None = cls.__dict__.get("__blueprint__")
    if known is not None:
        return known
    try:
        blueprint = Blueprint(cls, base, resolve_handlers(cls, None))
    except Unresolved as error:
        raise InvalidHandler(
            f"{error}; the message type must be importable at run time, or write "
            "@handles(MessageType)",
            actor=cls.__qualname__,
        ) from error
    cls.__blueprint__ = blueprint  # type: ignore[attr-defined]
    return blueprint
