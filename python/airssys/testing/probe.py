"""An actor that a test holds in its hands."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, overload

from airssys.rt import Actor, handles

if TYPE_CHECKING:
    from airssys.rt import Monitor, Ref, System

__all__ = ["Probe"]

T = TypeVar("T")


class ProbeActor(Actor):
    """Keeps whatever it gets."""

    trap_exits = True

    def __init__(self, inbox: deque[Any], arrived: asyncio.Event) -> None:
        self.inbox = inbox
        self.arrived = arrived
        self.replies: deque[Any] = deque()

    @handles
    def keep(self, message: object) -> Any:
        self.inbox.append(message)
        self.arrived.set()
        return self.replies.popleft() if self.replies else None


class Probe:
    """Receives messages for a test to look at."""

    def __init__(self, system: System, ref: Ref[Any], actor: ProbeActor) -> None:
        self.system = system
        self.ref = ref
        self._actor = actor

    @property
    def messages(self) -> list[Any]:
        """What came and was not looked at yet."""
        return list(self._actor.inbox)

    def reply_with(self, *values: Any) -> None:
        """Answer the next asks with these values, one each."""
        self._actor.replies.extend(values)

    @overload
    async def expect_message(self, *, timeout: float = 1.0) -> Any: ...
    @overload
    async def expect_message(self, kind: type[T], *, timeout: float = 1.0) -> T: ...
    async def expect_message(self, kind: type[Any] = object, *, timeout: float = 1.0) -> Any:
        """The next message, which must be of class `kind` and come within `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self._actor.inbox:
            self._actor.arrived.clear()
            left = deadline - loop.time()
            try:
                async with asyncio.timeout(left):
                    await self._actor.arrived.wait()
            except TimeoutError:
                raise AssertionError(
                    f"no message came to {self.ref.path} within {timeout} s"
                ) from None
        message = self._actor.inbox.popleft()
        if not isinstance(message, kind):
            raise AssertionError(  # noqa: TRY004 - a failed expectation of a test
                f"{self.ref.path} got {message!r}, expected a {kind.__name__}"
            )
        return message

    async def expect_no_message(self, *, during: float = 1.0) -> None:
        """Nothing may come during these seconds of virtual time."""
        await asyncio.sleep(during)
        if self._actor.inbox:
            raise AssertionError(
                f"{self.ref.path} got {list(self._actor.inbox)!r}, expected nothing"
            )

    def monitor(self, ref: Ref[Any], *, restarts: bool = False) -> Monitor:
        """Have this probe get `Down` when `ref` ends."""
        return self.system.watch(self.ref, ref, restarts=restarts)
