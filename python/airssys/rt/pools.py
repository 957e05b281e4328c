"""Pools: many equal actors behind one address."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from airssys.rt.errors import InvalidSpec, MailboxFull
from airssys.rt.messages import Ask, Message, Priority, Reason
from airssys.rt.ref import LocalRef, Ref, ThreadsafeRef
from airssys.rt.supervision import Child, Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from airssys.rt.monitors import Monitor
    from airssys.rt.system import SupervisorRef, System

__all__ = ["PoolRef", "Routing"]

ActorT_co = TypeVar("ActorT_co", covariant=True)
ReplyT = TypeVar("ReplyT")

Routing: TypeAlias = Literal["round-robin", "least-loaded"]


class PoolRef(Ref[ActorT_co]):
    """The address of a pool. Each message goes to one of its workers, straight from the sender.

    The workers are permanent children of a supervisor of the pool's name.
    """

    __slots__ = ("_key", "_made", "_next", "_routing", "_supervisor", "_template")

    def __init__(
        self,
        supervisor: SupervisorRef,
        template: Child,
        routing: Routing,
        key: Callable[[Any], object] | None,
    ) -> None:
        self._supervisor = supervisor
        self._template = template
        self._routing = routing
        self._key = key
        self._next = 0
        self._made = 0

    def __repr__(self) -> str:
        return f"<Pool {self.path} of {self.size}>"

    @property
    def path(self) -> str:
        """The path of the pool's supervisor."""
        return self._supervisor.path

    @property
    def alive(self) -> bool:
        """Whether the pool takes messages."""
        return self._supervisor.alive

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self.workers)

    @property
    def workers(self) -> list[Ref[ActorT_co]]:
        """The workers, in order of start."""
        return list(self._supervisor.children.values())

    @property
    def threadsafe(self) -> ThreadsafeRef[ActorT_co]:
        """The way in from other threads, to one worker chosen now."""
        return self._choose(None)[0].threadsafe

    async def resize(self, size: int) -> None:
        """Start or stop workers until there are `size`; who stops handles its queue first."""
        if size < 1:
            raise InvalidSpec(f"a pool of {size} workers handles nothing; give at least 1")
        while self.size < size:
            template = self._template
            child = Child(f"worker-{self._made}", template.factory, *template.args)
            child.options = template.options
            self._made += 1
            await self._supervisor.start_child(child)
        leaving = self.workers[size:]
        for worker in reversed(leaving):
            await worker.stop(drain=True)

    def _choose(self, message: object) -> Sequence[Ref[ActorT_co]]:
        workers = [worker for worker in self.workers if worker.alive]
        if not workers:
            return [cast("Ref[ActorT_co]", self._supervisor)]
        if self._key is not None:
            wanted = repr(self._key(message)).encode()
            # Rendezvous hashing: a change of size moves only the keys of one worker.
            return [max(workers, key=lambda one: zlib.crc32(wanted + one.path.encode()))]
        if self._routing == "least-loaded":
            return sorted(workers, key=_load)
        self._next = start = (self._next + 1) % len(workers)
        return workers[start:] + workers[:start]

    def tell(
        self,
        message: Message[ActorT_co],
        priority: Priority = Priority.NORMAL,
        ttl: float | None = None,
    ) -> None:
        """Queue a message at a worker that has room."""
        full: MailboxFull | None = None
        for worker in self._choose(message):
            try:
                worker.tell(message, priority, ttl)
            except MailboxFull as error:
                full = error
            else:
                return
        if full is not None:
            raise full

    async def send(
        self,
        message: Message[ActorT_co],
        timeout: float = 5.0,
        *,
        priority: Priority = Priority.NORMAL,
        ttl: float | None = None,
    ) -> None:
        """Queue a message at a worker; wait at the chosen one when all are full."""
        try:
            self.tell(message, priority, ttl)
        except MailboxFull:
            worker = self._choose(message)[0]
            await worker.send(message, timeout, priority=priority, ttl=ttl)

    def ask(
        self,
        message: Ask[ActorT_co, ReplyT],
        timeout: float = 5.0,
        priority: Priority = Priority.NORMAL,
    ) -> Awaitable[ReplyT]:
        """Ask a worker that has room."""
        full: MailboxFull | None = None
        for worker in self._choose(message):
            try:
                return worker.ask(message, timeout, priority)
            except MailboxFull as error:
                full = error
        raise full or MailboxFull(f"{self.path} has no worker", path=self.path)

    def stop(self, *, timeout: float | None = None, drain: bool = False) -> Awaitable[Reason]:
        """Stop the workers, then the pool. With `drain` each handles its queue first."""
        if drain:
            return self._drain(timeout)
        return self._supervisor.stop(timeout=timeout)

    async def _drain(self, timeout: float | None) -> Reason:
        for worker in reversed(self.workers):
            await worker.stop(timeout=timeout, drain=True)
        return await self._supervisor.stop(timeout=timeout)

    def kill(self) -> Awaitable[Reason]:
        """Kill the workers and the pool."""
        return self._supervisor.kill()

    def monitor(self, *, restarts: bool = False) -> Monitor:
        """Have the current actor told when the pool ends."""
        return self._supervisor.monitor(restarts=restarts)

    def link(self) -> None:
        """Tie the current actor to the pool."""
        self._supervisor.link()

    def unlink(self) -> None:
        """Untie the current actor from the pool."""
        self._supervisor.unlink()


def _load(ref: Ref[Any]) -> int:
    if isinstance(ref, LocalRef):
        cell = ref._cell
        return cell.queued + cell.in_flight
    return 0


async def start_pool(
    system: System,
    template: Child,
    size: int,
    *,
    routing: Routing,
    key: Callable[[Any], object] | None,
    burst: int,
    period: float,
) -> PoolRef[Any]:
    """Start the supervisor and the workers of a pool."""
    if routing not in {"round-robin", "least-loaded"}:
        raise InvalidSpec(f"routing {routing!r}: expected round-robin or least-loaded")
    supervisor = await system.start(Supervisor(template.name, burst=burst, period=period))
    pool: PoolRef[Any] = PoolRef(supervisor, template, routing, key)
    try:
        await pool.resize(size)
    except BaseException:
        await supervisor.stop()
        raise
    return pool
