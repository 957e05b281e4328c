"""The actor system: one event loop, one thread, one tree of actors."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import asyncio
import itertools
import weakref
from dataclasses import dataclass, replace
from threading import get_ident
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from airssys.rt._cell import CLOSED, ENDED, ENDING, Cell
from airssys.rt._control import Ending
from airssys.rt._dispatcher import Dispatcher, acting
from airssys.rt._gateway import Gateway
from airssys.rt._lifecycle import Lifecycle
from airssys.rt._observing import Observing, cell_of
from airssys.rt._options import DEFAULT_OPTIONS, Options
from airssys.rt.actor import Actor
from airssys.rt.dead_letters import DeadLetters
from airssys.rt.errors import (
    InvalidSpec,
    NameTaken,
    SystemStopped,
)
from airssys.rt.events import EventStream
from airssys.rt.groups import Groups, Topics
from airssys.rt.messages import Reason
from airssys.rt.offload import Offload
from airssys.rt.pools import PoolRef, Routing, start_pool
from airssys.rt.ref import LocalRef
from airssys.rt.registry import Registry
from airssys.rt.supervision import Child, Supervisor, check_name
from airssys.rt.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airssys.rt._request import Completion
    from airssys.rt.ref import Ref

__all__ = ["ShutdownReport", "SupervisorRef", "System", "resolve_address"]

ActorT = TypeVar("ActorT", bound=Actor)
AnyT = TypeVar("AnyT")

_systems: weakref.WeakValueDictionary[str, System] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How a shutdown went.

    Attributes:
        stopped: Actors that ended in order.
        killed: Paths of actors that had to be killed.
        leaked: Paths of actors whose coroutine had to be abandoned.
        dead_letters: Messages that died during the whole life of the system.
        seconds: How long it took, in loop time.
    """

    stopped: int
    killed: tuple[str, ...]
    leaked: tuple[str, ...]
    dead_letters: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether everything ended by itself."""
        return not self.killed and not self.leaked


class SupervisorRef(LocalRef[Actor]):
    """The address of a supervisor, which can also reach and start its children."""

    __slots__ = ()

    @overload
    def child(self, name: str) -> Ref[Any]: ...
    @overload
    def child(self, name: str, kind: type[AnyT]) -> Ref[AnyT]: ...
    def child(self, name: str, kind: type[Any] | None = None) -> Ref[Any]:
        """The child of that name; names with `/` reach further down.

        Args:
            name: As in the specification.
            kind: The actor class, for the type checker; checked.

        Raises:
            InvalidSpec: There is no such child, or it is of another class.
        """
        cell = self._cell
        for part in name.split("/"):
            found = (cell.children or {}).get(part)
            if found is None:
                known = ", ".join(cell.children or ()) or "none"
                raise InvalidSpec(
                    f"{cell.path} has no child {part!r}; it has: {known}", path=cell.path
                )
            cell = found
        if kind is not None and cell.actor is not None and not isinstance(cell.actor, kind):
            raise InvalidSpec(
                f"{cell.path} is a {type(cell.actor).__name__}, not a {kind.__name__}",
                path=cell.path,
            )
        return cell.ref

    def supervisor(self, name: str) -> SupervisorRef:
        """The supervisor below this one of that name."""
        found = self.child(name)
        if not isinstance(found, SupervisorRef):
            raise InvalidSpec(f"{found.path} is not a supervisor", path=found.path)
        return found

    @property
    def children(self) -> dict[str, Ref[Any]]:
        """The children by name, in order of start."""
        return {name: cell.ref for name, cell in (self._cell.children or {}).items()}

    async def start_child(self, spec: Child | Supervisor) -> Ref[Any]:
        """Start one more child under this supervisor.

        Raises:
            SpawnFailed: It did not start; nothing was left behind.
            NameTaken: There is a child of that name.
        """
        return await self._cell.dispatcher.system.start_child(self._cell, spec)


class System(Observing):
    """Actors and all they share. Use it as `async with System("name") as system`.

    It belongs to the event loop and thread on which it is made.

    Args:
        name: Shows in addresses; unique among the living systems of the process for pickling.
        seed: Seeds the jitter of backoffs.
    """

    def __init__(self, name: str = "main", *, seed: int = 0) -> None:
        check_name(name)
        self.name = name
        self.seed = seed
        self.loop = asyncio.get_running_loop()
        self.events = EventStream(on_change=self.instrumentation_changed)
        self.leaks: list[str] = []
        self._init_observing()
        self.adopting = True
        self._numbers = itertools.count(1)
        self._stopping = False
        self._stopped = False
        self._ended = 0
        self._shutdown: asyncio.Task[ShutdownReport] | None = None
        self._dispatcher = Dispatcher(self, self.loop)
        self._dispatcher.lifecycle = Lifecycle(self._dispatcher)
        self.dead_letters = DeadLetters(self.events, self._dispatcher.clock)
        self._dispatcher.dead_letters = self.dead_letters
        self.gateway = Gateway(self._dispatcher)
        self._root = self._dispatcher.root
        self._root.block = 0
        self._root.ref = LocalRef(self._root)
        self.registry = Registry()
        self.groups = Groups()
        self.topics = Topics()
        self._offload: Offload | None = None
        self._watchdog: Watchdog | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._task_factory = self.loop.get_task_factory()
        self.loop.set_task_factory(self._make_task)
        _systems[name] = self

    def __repr__(self) -> str:
        return f"<System {self.name}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    def next_number(self) -> int:
        """A number that was not given out before."""
        return next(self._numbers)

    # Tasks that handlers start.

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        factory = self._task_factory
        dispatcher = self._dispatcher
        owner = dispatcher.current
        run = dispatcher.run
        if owner is None and self.adopting:
            actor = acting.get(None)
            if actor is not None and actor._cell.dispatcher is dispatcher:
                run = actor._cell.run if actor._cell.actor is actor else None
        elif owner is not None and run is None and self.adopting:
            coroutine.close()
            raise InvalidSpec(
                f"a plain handler of {owner.path} cannot own a task, which would end with the "
                "handler; make the handler `async def`, or use self.background(coroutine)",
                path=owner.path,
            )
        task: asyncio.Task[Any] = (
            asyncio.Task(coroutine, loop=loop, **options)
            if factory is None
            else cast("Any", factory)(loop, coroutine, **options)
        )
        if run is not None and self.adopting:
            run.adopt(task)
        return task

    # Spawning.

    async def spawn(
        self,
        factory: Callable[..., ActorT],
        *args: Any,
        name: str | None = None,
        parent: Ref[Any] | None = None,
        **options: Any,
    ) -> Ref[ActorT]:
        """Start an actor and return its address once `started` has run.

        Args:
            factory: The actor class, or whatever makes the actor.
            *args: What the factory gets; called anew for each incarnation.
            name: Unique among its siblings; reserved at once. One is made up by default.
            parent: The actor that supervises it; the top of the tree by default.
            **options: Fields of `Options`: `mailbox`, `restart`, `backoff`, `shutdown` and so on.
                `restart` is `TEMPORARY` by default.

        Raises:
            NameTaken: A living sibling has the name.
            SpawnFailed: The factory or `started` raised, or took longer than `start_timeout`.
                Nothing is left behind; neither when the caller is cancelled.
        """
        above = self._root if parent is None else cell_of(parent)
        chosen = DEFAULT_OPTIONS if not options else _options(options)
        cell, completion = self._begin(above, name, factory, args, chosen, LocalRef)
        if completion is not None:
            await self._until_started(cell, completion)
        return cast("Ref[ActorT]", cell.ref)

    def _begin(
        self,
        parent: Cell,
        name: str | None,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        options: Options,
        kind: type[LocalRef[Any]],
    ) -> tuple[Cell, Completion[None] | None]:
        dispatcher = self._dispatcher
        if get_ident() != dispatcher.thread:
            raise dispatcher.wrong_thread()
        if self._stopping or parent.block & (ENDING | ENDED | CLOSED):
            raise SystemStopped(
                f"{parent.path} of actor system {self.name!r} is stopping and starts nothing"
            )
        children = parent.children
        if children is None:
            children = parent.children = {}
        if name is None:
            name = f"${next(self._numbers)}"
        elif name in children:
            raise NameTaken(
                f"{children[name].path} exists already; choose another name or stop it first",
                path=children[name].path,
            )
        else:
            check_name(name)
        cell = kind.cell_type(dispatcher, parent, name, factory, args, options)
        cell.ref = kind(cell)
        children[name] = cell
        return cell, dispatcher.lifecycle.launch(cell)

    async def _until_started(self, cell: Cell, completion: Completion[None]) -> None:
        try:
            await completion
        except asyncio.CancelledError:
            self._dispatcher.lifecycle.order(cell, Ending(Reason.KILLED, kill=True, final=True))
            raise

    async def start(self, spec: Supervisor) -> SupervisorRef:
        """Start a tree of supervisors and actors at the top of the system.

        Raises:
            SpawnFailed: A child did not start; those before it were stopped in reverse order.
        """
        return cast("SupervisorRef", await self.start_child(self._root, spec, top=True))

    async def start_child(
        self, parent: Cell, spec: Child | Supervisor, *, top: bool = False
    ) -> Ref[Any]:
        """Start what a specification says below `parent`; internal to supervisors."""
        cell, completion = self._begin_child(parent, spec, top=top)
        if completion is not None:
            await self._until_started(cell, completion)
        return cell.ref

    def begin_child(
        self, parent: Ref[Any], spec: Child
    ) -> tuple[Ref[Any], asyncio.Future[None] | None]:
        """Start what a specification says below `parent` without waiting for it.

        Returns:
            The address, whose mailbox takes messages already, and what resolves when it runs or
            fails with `SpawnFailed`; None where it runs already.
        """
        cell, completion = self._begin_child(cell_of(parent), spec)
        return cell.ref, completion

    def _begin_child(
        self, parent: Cell, spec: Child | Supervisor, *, top: bool = False
    ) -> tuple[Cell, Completion[None] | None]:
        options = spec.options
        if top:
            options = replace(options, restart=DEFAULT_OPTIONS.restart)
        kind = SupervisorRef if isinstance(spec, Supervisor) else spec.ref_type
        return self._begin(parent, spec.name, spec.factory, spec.args, options, kind)

    # Finding.

    def find(self, path: str) -> Ref[Any] | None:
        """The living actor at a path such as `/bank/ann`; None when there is none."""
        cell = self._root
        for part in path.strip("/").split("/"):
            found = (cell.children or {}).get(part)
            if found is None:
                return None
            cell = found
        return None if cell is self._root else cell.ref

    # Many actors at once, and help for them.

    async def pool(
        self,
        name: str,
        factory: Callable[..., ActorT],
        *args: Any,
        size: int,
        routing: Routing = "round-robin",
        key: Callable[[Any], object] | None = None,
        burst: int = 3,
        period: float = 5.0,
        **options: Any,
    ) -> PoolRef[ActorT]:
        """Start a pool of equal workers behind one address.

        Args:
            name: The name of the pool's supervisor.
            factory: What makes each worker.
            *args: What the factory gets.
            size: How many workers.
            routing: `round-robin`, or `least-loaded` by queue length.
            key: Send messages of equal `key(message)` to the same worker, instead.
            burst: Restarts within `period` that are tolerated.
            period: Seconds.
            **options: As for `Child`.
        """
        template = Child(name, factory, *args, **options)
        return await start_pool(
            self, template, size, routing=routing, key=key, burst=burst, period=period
        )

    @property
    def offload(self) -> Offload:
        """Threads and processes for work that would block the loop."""
        if self._offload is None:
            self._offload = Offload()
        return self._offload

    def watchdog(self, *, budget: float = 1.0, interrupt: bool = False) -> Watchdog:
        """Start the thread that reports handlers which hold the loop for longer than `budget` s."""
        if self._watchdog is not None:
            self._watchdog.stop()
        self._watchdog = Watchdog(self._dispatcher, budget=budget, interrupt=interrupt)
        self._watchdog.start()
        return self._watchdog

    def own_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that belongs to the system and ends with it."""
        self.adopting = False
        try:
            task = self.loop.create_task(coroutine, context=self._dispatcher.base_context.copy())
        finally:
            self.adopting = True
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def on_ended(self) -> None:
        """An actor has ended."""
        self._ended += 1

    # Shutting down.

    def begin_shutdown(self) -> None:
        """Begin to stop everything without waiting for it."""
        if not self._stopping:
            self._stopping = True
            for cell in reversed(list((self._root.children or {}).values())):
                self._dispatcher.lifecycle.stop(cell, timeout=None, drain=False)

    async def shutdown(self, timeout: float = 10.0) -> ShutdownReport:
        """Stop all actors in reverse order of start, then kill what is left; always ends.

        Args:
            timeout: Seconds for everything together; then the rest is killed, which takes at most
                another second or so.
        """
        dispatcher = self._dispatcher
        dispatcher.check_thread()
        self._stopping = True
        began = dispatcher.clock()
        ended = self._ended
        killed: list[str] = []
        deadline = began + timeout
        # One look at all of them: looking for the last one each time is quadratic.
        for cell in tuple(reversed((self._root.children or {}).values())):
            if cell.block & ENDED:
                continue
            left = deadline - dispatcher.clock()
            if left <= 0:
                break
            dispatcher.lifecycle.end(cell, Ending(Reason.SHUTDOWN, final=True))
            if cell.block & ENDED:  # nothing of it had to wait
                continue
            limit = min(left, cell.options.shutdown)
            reason = await dispatcher.lifecycle.stop(cell, timeout=limit, drain=False)
            if reason.kind == "killed":
                killed.append(cell.path)
        # No time is left: what cannot stop on the spot is killed, all at once.
        late = [
            (cell.path, dispatcher.lifecycle.stop(cell, timeout=0, drain=False))
            for cell in tuple(reversed((self._root.children or {}).values()))
        ]
        for path, stopping in late:
            if (await stopping).kind == "killed":
                killed.append(path)
        if not self._stopped:
            self._stopped = True
            for task in tuple(self._tasks):
                task.cancel()
            if self._watchdog is not None:
                self._watchdog.stop()
            if self._offload is not None:
                self._offload.close()
            if self.loop.get_task_factory() == self._make_task:
                self.loop.set_task_factory(self._task_factory)
            _systems.pop(self.name, None)
        return ShutdownReport(
            self._ended - ended - len(killed),
            tuple(killed),
            tuple(self.leaks),
            self.dead_letters.count,
            dispatcher.clock() - began,
        )


def _options(options: dict[str, Any]) -> Options:
    try:
        return Options(**options)
    except TypeError as error:
        raise InvalidSpec(f"spawn: {error}") from error


def resolve_address(system_name: str, path: str, uid: int) -> Ref[Any]:
    """The ref that was pickled, or one of an ended actor when it is not there any more."""
    system = _systems.get(system_name)
    if system is None:
        raise SystemStopped(f"no actor system {system_name!r} lives in this process")
    found = system.find(path)
    if isinstance(found, LocalRef) and found._cell.uid == uid:
        return cast("Ref[Any]", found)
    gone = Cell(
        system._dispatcher, system._root, path.rsplit("/", 1)[-1], Actor, (), DEFAULT_OPTIONS
    )
    gone.block = ENDED | CLOSED
    gone.limit = -1
    gone.ref = LocalRef(gone)
    return gone.ref
