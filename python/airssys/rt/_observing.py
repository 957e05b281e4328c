"""The part of a system that looks at actors from outside and meddles with them on purpose."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from airssys.rt._cell import ENDED, SUSPENDED, Cell
from airssys.rt._foreign import ForeignCell
from airssys.rt._mailbox import EXTRA, MESSAGE, NEXT, SENDER, Envelope
from airssys.rt._request import Completion
from airssys.rt.books import Books, Inspection, books_of, inspect_cell
from airssys.rt.errors import InvalidSpec, RequestDropped
from airssys.rt.events import (
    ActorResumed,
    ActorSuspended,
    Backpressure,
    EventStream,
    MessageHandled,
)
from airssys.rt.health import Health
from airssys.rt.middleware import Delivery, Drop, Middleware, failing, wrapped
from airssys.rt.ref import LocalRef, state_of
from airssys.rt.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.tree import Tree

    from airssys.rt._blueprint import Handler
    from airssys.rt._dispatcher import Dispatcher
    from airssys.rt.messages import Priority
    from airssys.rt.monitors import Monitor
    from airssys.rt.ref import Ref

__all__ = ["Observing", "cell_of"]

#: Messages that a traced actor remembers.
RECENT = 50


def cell_of(ref: Ref[Any]) -> Cell:
    """The cell of a local ref."""
    if not isinstance(ref, LocalRef):
        raise InvalidSpec(f"{ref!r} is not an actor of this process", ref=repr(ref))
    return ref._cell


class Observing:
    """Inspection, suspension, tracing, middleware. `System` is one."""

    name: str
    events: EventStream
    _dispatcher: Dispatcher
    _root: Cell

    def _init_observing(self) -> None:
        self._middleware: list[Middleware] = []
        self._tracing: Tracing | None = None
        self._traced_actors = 0

    # Looking. Safe from any thread: nothing is locked, asked or changed.

    def cells(self) -> list[Cell]:
        """Every living actor, parents first; internal to tools."""
        found: list[Cell] = []
        waiting = list((self._root.children or {}).values())
        waiting.reverse()
        while waiting:
            cell = waiting.pop()
            found.append(cell)
            if cell.children:
                waiting.extend(reversed(list(cell.children.values())))
        return found

    def _pending(self) -> dict[Cell, int]:
        pending: dict[Cell, int] = {}
        for bucket in list(self._dispatcher.buckets.values()):
            for request in list(bucket.pending):
                pending[request.cell] = pending.get(request.cell, 0) + 1
        return pending

    def books(self) -> list[Books]:
        """The counters of every living actor's mailbox."""
        pending = self._pending()
        return [books_of(cell, pending.get(cell, 0)) for cell in self.cells()]

    async def health(self, ref: Ref[Any], timeout: float = 1.0) -> Health:
        """Return how an actor is: a component is asked, between messages.

        Of a Python actor it is the verdict of its `HealthCheck`, and `UNKNOWN` where there is none;
        a component that says nothing, or is busy, is `UNKNOWN` too.

        Raises:
            WaitTimeout: The component did not come to it within `timeout` seconds.
        """
        cell = cell_of(ref)
        if isinstance(cell, ForeignCell):
            return await cell.outside.health(timeout)
        return Health("unknown" if cell.more is None else cell.more.health)

    def inspect(self, ref: Ref[Any]) -> Inspection:
        """Everything there is to see of an actor, without its help; from any thread."""
        cell = cell_of(ref)
        return inspect_cell(cell, ref, state_of(cell), self._pending().get(cell, 0))

    def tree(self) -> Tree:
        """The tree of actors with their states, for `rich.print`."""
        from rich.tree import Tree  # noqa: PLC0415 - few ask for it, and it takes long to load

        top = Tree(f"[bold]{self.name}[/]")
        self._grow(top, self._root)
        return top

    def _grow(self, tree: Tree, cell: Cell, limit: int = 100) -> None:
        children = list((cell.children or {}).values())
        for child in children[:limit]:
            kind = "" if child.actor is None else type(child.actor).__name__
            restarts = 0 if child.more is None else child.more.restarts
            notes = [state_of(child)]
            if child.queued:
                notes.append(f"{child.queued} queued")
            if restarts:
                notes.append(f"{restarts} restarts")
            branch = tree.add(f"{child.name} [cyan]{kind}[/] [dim]{', '.join(notes)}[/]")
            self._grow(branch, child, limit)
        if len(children) > limit:
            tree.add(f"[dim]and {len(children) - limit} more[/]")

    # Meddling.

    def suspend(self, ref: Ref[Any]) -> None:
        """Take no further message, nor go on with a suspended handler, until `resume`."""
        self._dispatcher.check_thread()
        cell = cell_of(ref)
        if not cell.block & (SUSPENDED | ENDED):
            cell.block |= SUSPENDED
            cell.idle = False
            cell.suspension(True)
            if self.events.active:
                self.events.publish(ActorSuspended(ref))

    def resume(self, ref: Ref[Any]) -> None:
        """Go on after `suspend`."""
        self._dispatcher.check_thread()
        cell = cell_of(ref)
        if cell.block & SUSPENDED:
            cell.block &= ~SUSPENDED
            cell.suspension(False)
            more = cell.details()
            held, more.held = more.held or [], None
            for run in held:
                self._dispatcher.enqueue(run)
            if self.events.active:
                self.events.publish(ActorResumed(ref))
            self._dispatcher.settle(cell)

    def replace_state(self, ref: Ref[Any], change: Callable[[Any], None]) -> Completion[None]:
        """Call `change(actor)` as soon as no handler is in flight; await the result to wait for it.

        What `change` raises comes out of the result; the actor lives on.
        """
        self._dispatcher.check_thread()
        cell = cell_of(ref)
        if cell.elsewhere:
            raise InvalidSpec(
                f"the state of {cell.path} is a component's; it changes by `restore` only",
                path=cell.path,
            )
        done: Completion[None] = Completion(cell)

        def act() -> None:
            if cell.actor is None:
                done.fail(RequestDropped(f"{cell.path} has ended", path=cell.path))
                return
            try:
                change(cell.actor)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked for it
                done.fail(error)
            else:
                done.settle(None)

        if cell.in_flight or cell.actor is None:
            cell.details().when_quiet.append(act)
        else:
            act()
        return done

    def trace(self, ref: Ref[Any], on: bool = True) -> None:
        """Remember the last fifty messages of an actor, for `inspect`; or stop."""
        self._dispatcher.check_thread()
        more = cell_of(ref).details()
        if more.traced is not on:
            more.traced = on
            more.recent = deque(maxlen=RECENT) if on else None
            self._traced_actors += 1 if on else -1
            self.instrumentation_changed()

    def watch(self, watcher: Ref[Any], target: Ref[Any], *, restarts: bool = False) -> Monitor:
        """Have `watcher` told by `Down` when `target` ends, as if it had asked itself."""
        dispatcher = self._dispatcher
        dispatcher.check_thread()
        kept = dispatcher.current
        dispatcher.current = cell_of(watcher)
        try:
            return target.monitor(restarts=restarts)
        finally:
            dispatcher.current = kept

    def fail(self, ref: Ref[Any], error: Exception) -> None:
        """Fail an actor from outside, as if its handler had raised `error`."""
        self._dispatcher.check_thread()
        cell = cell_of(ref)
        if not cell.block & ENDED:
            self._dispatcher.lifecycle.order_failure(cell, error)

    # Deliveries the instrumented way.

    def add_middleware(self, middleware: Middleware) -> None:
        """Call `middleware(delivery)` before each handler; costs nothing while there is none.

        It may raise `Drop(reason)`, ask for a callback at the end, postpone the delivery, or raise
        anything else to fail the actor.
        """
        self._middleware.append(middleware)
        self.instrumentation_changed()

    def remove_middleware(self, middleware: Middleware) -> None:
        """Take a middleware out."""
        if middleware in self._middleware:
            self._middleware.remove(middleware)
        self.instrumentation_changed()

    def enable_tracing(self) -> None:
        """Carry W3C trace context in envelopes; make OpenTelemetry spans if it has a provider."""
        if self._tracing is None:
            self._tracing = Tracing()
            self.add_middleware(self._tracing)

    def disable_tracing(self) -> None:
        """Carry no trace context any more."""
        if self._tracing is not None:
            self.remove_middleware(self._tracing)
            self._tracing = None

    def current_trace(self) -> str | None:
        """The `traceparent` that messages sent now carry."""
        return None if self._tracing is None else self._tracing.current()

    def instrumentation_changed(self) -> None:
        """Choose the fast or the instrumented way for deliveries."""
        self._dispatcher.traced = bool(
            self._middleware or self._traced_actors or self.events.messages
        )
        self._dispatcher.carries = self._dispatcher.traced or self._dispatcher.serves

    def instrument(self, cell: Cell, envelope: Envelope, handler: Handler) -> Handler | None:
        """Show a delivery to middleware; return what to run, or None when it goes no further."""
        more = cell.more
        if more is not None and more.recent is not None:
            more.recent.append((self._dispatcher.clock(), envelope[MESSAGE]))
        delivery = Delivery(cell, envelope, handler.name)
        for middleware in tuple(self._middleware):
            try:
                middleware(delivery)
            except Drop as drop:
                cell.bury(envelope[MESSAGE], envelope[SENDER], envelope[EXTRA], drop.reason)
                return None
            except Exception as error:  # noqa: BLE001 - a supervision boundary
                return failing(handler, error)
        if delivery.postponed is not None:
            self._postpone(cell, envelope, delivery.postponed)
            return None
        if self.events.messages:
            self._announce(delivery)
        return wrapped(handler, delivery)

    def _postpone(self, cell: Cell, envelope: Envelope, seconds: float) -> None:
        more = cell.details()
        more.postponed += 1

        def again() -> None:
            more.postponed -= 1
            if cell.block & ENDED:
                cell.bury(envelope[MESSAGE], envelope[SENDER], envelope[EXTRA], "stopped")
                return
            envelope[NEXT] = None
            cell.push(envelope)
            if cell.idle:
                cell.idle = False
                self._dispatcher.enqueue(cell)

        self._dispatcher.loop.call_later(seconds, again, context=self._dispatcher.turn_context)

    def _announce(self, delivery: Delivery) -> None:
        began = time.perf_counter()
        ref, message = delivery.ref, delivery.message

        def end(error: BaseException | None) -> None:
            self.events.publish(MessageHandled(ref, message, error, time.perf_counter() - began))

        delivery.on_finished(end)

    def on_backpressure(self, cell: Cell, priority: Priority) -> None:
        """A sender found a lane full."""
        if self.events.active:
            self.events.publish(Backpressure(cell.ref, priority))
