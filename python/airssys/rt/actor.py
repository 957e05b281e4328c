"""Actors: a class whose methods marked `@handles` take messages, one at a time."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast, overload

from airssys.rt._blueprint import (
    MARK,
    Blueprint,
    Handler,
    Marker,
    Unresolved,
    add_to_table,
    blueprint_of,
    names_of_caller,
    resolve_handlers,
)
from airssys.rt._mailbox import EXTRA, SENDER, Extras
from airssys.rt._request import Request
from airssys.rt._timers import Timers
from airssys.rt.errors import InvalidHandler, NoCurrentActor, StashFull
from airssys.rt.reply import Reply

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from airssys.rt._cell import Cell
    from airssys.rt._mailbox import Envelope
    from airssys.rt.messages import Reason
    from airssys.rt.ref import Ref
    from airssys.rt.supervision import Supervision
    from airssys.rt.system import System

__all__ = ["Actor", "actor", "handles"]

CallableT = TypeVar("CallableT", bound="Callable[..., Any]")
ActorT = TypeVar("ActorT", bound="Actor")
T = TypeVar("T")


@overload
def handles(method: CallableT, /) -> CallableT: ...
@overload
def handles(
    *message_types: type,
    reentrant: bool = False,
    retry: int = 0,
    active: bool = True,
    budget: float | None = None,
) -> Callable[[CallableT], CallableT]: ...
def handles(
    *arguments: Any,
    reentrant: bool = False,
    retry: int = 0,
    active: bool = True,
    budget: float | None = None,
) -> Any:
    """Mark a method as the handler of the message type that its parameter is annotated with.

    Args:
        *arguments: The method, or the message types when the annotation cannot say them.
        reentrant: Other messages may be handled while this handler awaits.
        retry: How many times a message whose handling raised is put back at the head of its lane.
        active: False for a handler that only `become` switches on.
        budget: Seconds that one handling may take in all before the watchdog reports it.

    Raises:
        InvalidHandler: When the class is made or first spawned, if no message type can be found.
    """

    def mark(method: CallableT) -> CallableT:
        marker = Marker(types_, reentrant=reentrant, retry=retry, active=active, budget=budget)
        setattr(method, MARK, marker)
        return method

    types_: tuple[type, ...] = ()
    if len(arguments) == 1 and inspect.isfunction(arguments[0]):
        return mark(arguments[0])
    if not all(isinstance(argument, type) for argument in arguments):
        raise InvalidHandler(f"@handles takes message types, not {arguments!r}")
    types_ = arguments
    return mark


class Actor:
    """The base of all actors. `__init__` gets what spawn passes; override the hooks as needed.

    The runtime is there from `started` on, not yet in `__init__`.

    Attributes:
        trap_exits: Linked actors' abnormal ends arrive as `Exit` messages instead of failing this.
        supervision: How this actor supervises the children that it spawns; a `Supervision`.
    """

    __slots__ = ("_cell",)

    trap_exits: ClassVar[bool] = False
    supervision: ClassVar[Supervision | None] = None

    #: None until it is known, at the latest when the first of the class is spawned.
    __blueprint__: ClassVar[Blueprint | None] = None

    _cell: Cell

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__blueprint__ = None
        for names in (None, names_of_caller):
            try:
                handlers = resolve_handlers(cls, names(3) if names is not None else None)
            except Unresolved:
                continue  # tried again at the first spawn
            cls.__blueprint__ = Blueprint(cls, Actor, handlers)
            return

    # Hooks.

    async def started(self) -> None:
        """Called before the first message, within `start_timeout`.

        Any hook may be a plain method too, also one that returns a coroutine, which is awaited.
        """

    async def stopped(self, reason: Reason) -> None:
        """Called at the end of an incarnation, unless it was killed."""

    async def failed(self, error: BaseException, message: object) -> None:
        """Called first after a handler raised `error` on `message`."""

    def carry(self) -> Any:
        """Say what the next incarnation gets; it finds it in `restore`. None carries nothing."""
        return None

    def restore(self, carried: Any) -> None:
        """Take what the previous incarnation returned from `carry`; called before `started`."""

    def snapshot(self) -> Any:
        """What `inspect` shows as this actor's state; by default its attributes."""
        return dict(getattr(self, "__dict__", {}))

    # Where this actor stands.

    @property
    def ref(self) -> Ref[Self]:
        """The address of this actor."""
        return cast("Ref[Self]", self._cell.ref)

    @property
    def system(self) -> System:
        """The system that this actor lives in."""
        return self._cell.dispatcher.system

    @property
    def parent(self) -> Ref[Any] | None:
        """The actor that supervises this one; None at the top."""
        parent = self._cell.parent
        return None if parent is None or parent.parent is None else parent.ref

    @property
    def children(self) -> dict[str, Ref[Any]]:
        """The children by name, in order of start."""
        return {name: cell.ref for name, cell in (self._cell.children or {}).items()}

    @property
    def sender(self) -> Ref[Any] | None:
        """The actor that sent the message being handled; None for plain callers."""
        sender = self._letter("sender")[SENDER]
        return None if sender is None else sender.ref

    @property
    def deadline(self) -> float | None:
        """When the ask being handled expires, in loop time; None for a tell without `ttl`."""
        extra = self._letter("deadline")[EXTRA]
        if isinstance(extra, Extras) and extra.request is not None:
            extra = extra.request
        return None if extra is None else extra.expires

    @property
    def timers(self) -> Timers:
        """Timers whose messages come to this actor; they end with this incarnation."""
        return Timers(self._cell)

    def _letter(self, what: str) -> Envelope:
        dispatcher = self._cell.dispatcher
        if dispatcher.current is not self._cell or dispatcher.letter is None:
            raise NoCurrentActor(f"{what} is known only while {self._cell.path} handles a message")
        return dispatcher.letter

    # What an actor can do.

    async def spawn(
        self, factory: Callable[..., ActorT], *args: Any, name: str | None = None, **options: Any
    ) -> Ref[ActorT]:
        """Start a child; it is stopped before this actor stops. See `System.spawn`."""
        return await self._cell.dispatcher.system.spawn(
            factory, *args, name=name, parent=self._cell.ref, **options
        )

    def stop(self) -> None:
        """End this actor normally after the current handler; a permanent one is restarted."""
        self._cell.dispatcher.lifecycle.end_self(self._cell)

    def become(self, *methods: Callable[[Any], Any]) -> None:
        """Take only the messages of these handlers from now on, until `unbecome`.

        Args:
            *methods: Methods of this actor marked `@handles`.
        """
        blueprint = blueprint_of(type(self), Actor)
        table: dict[type, Handler] = {}
        for method in methods:
            handler = blueprint.handlers.get(method.__name__)
            if handler is None:
                raise InvalidHandler(f"{method.__qualname__} is not marked @handles")
            add_to_table(type(self), table, handler)
        cell = self._cell
        more = cell.details()
        if more.tables is None:
            more.tables = []
        more.tables.append(cell.table)
        cell.table = table

    def unbecome(self) -> None:
        """Go back to the behaviour before the last `become`."""
        tables = self._cell.details().tables
        if tables:
            self._cell.table = tables.pop()

    def stash(self) -> None:
        """Put the message being handled aside; `unstash` brings it back, in order.

        Raises:
            StashFull: The bound of the stash is reached.
        """
        cell = self._cell
        letter = self._letter("the message to stash")
        more = cell.details()
        if len(more.stash) >= cell.options.stash:
            raise StashFull(
                f"the stash of {cell.path} holds {len(more.stash)} messages, its bound; "
                "unstash earlier or raise `stash`",
                path=cell.path,
            )
        more.stash.append(letter)
        cell.dispatcher.letter = None
        run = cell.dispatcher.run
        if run is not None:
            run.envelope = None

    def unstash(self) -> None:
        """Deliver all stashed messages next, in the order they came."""
        more = self._cell.details()
        stashed, more.stash = more.stash, []
        self._cell.replay(stashed)

    def defer(self) -> Reply[Any]:
        """Take the reply of the current ask out of the handler, to answer it later.

        Returns:
            The reply to give; what the handler returns is then ignored. If this incarnation ends
            without having answered, the asker fails.
        """
        letter = self._letter("the ask to defer")
        extra = letter[EXTRA]
        request: Any = extra.request if isinstance(extra, Extras) else extra
        if not isinstance(request, Request):
            raise NoCurrentActor("the message being handled was not asked; nobody awaits a reply")
        letter[EXTRA] = None
        return Reply(self._cell, cast("Request[Any]", request))  # type: ignore[redundant-cast]

    def background(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a task that outlives the handler and ends with this incarnation.

        The task sends as this actor. An exception in it fails the actor.
        """
        return self._cell.dispatcher.background(self._cell, coroutine)


def actor(function: Callable[..., Any]) -> type[Actor]:
    """Make an actor class of one function that takes the actor and the message.

    The function's second parameter says by its annotation which messages it takes::

        @actor
        async def echo(self: Actor, message: Ping) -> str: ...
    """
    marked = handles(function)
    names = names_of_caller(2)
    namespace: dict[str, Any] = {function.__name__: marked, "__doc__": function.__doc__}
    made: type[Actor] = type(function.__name__, (Actor,), namespace)
    try:
        handlers = resolve_handlers(made, names)
    except Unresolved:
        return made
    made.__blueprint__ = Blueprint(made, Actor, handlers)
    return made
