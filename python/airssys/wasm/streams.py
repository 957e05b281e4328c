"""Streams and futures that guests give: iterators and awaitables of Python.

A guest runs only while somebody drives it, so that reading is like calling: it runs the instance
until the guest has written, under the instance's limits. `call_timeout` and `cpu_per_call` bound
each read, `host_call_bytes` bounds each item. While a read is under way the instance is busy;
between reads it takes calls. A guest's write waits until Python reads.

What was given outlives the call that gave it: until it ends, is closed or dropped, or the instance
is closed or fails. After the latter, reading first gives what the guest had written, then raises
`InstancePoisoned`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airssys.errors import AirsSysError
from airssys.wasm.errors import InstanceBusy, InstancePoisoned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import TracebackType

    from airssys.wasm._native import _core

__all__ = ["GuestFuture", "GuestStream"]

T_co = TypeVar("T_co", covariant=True)


async def _read(incoming: _core.Incoming) -> None:
    """Run the instance until there is something to take.

    On cancel, the read ends as soon as the guest waits, and nothing is lost; the cancellation comes
    out then. A second cancellation does not wait: it drops the instance's store, as cancelling a
    call does.
    """
    try:
        rest: Awaitable[None] | None = incoming.read()
    except InstanceBusy:
        rest = incoming.arrival()
    if rest is None:
        return
    import asyncio  # noqa: PLC0415 - a client that only sends values needs no event loop

    reading = asyncio.ensure_future(rest)
    try:
        await asyncio.shield(reading)
    except asyncio.CancelledError:
        if not reading.done():
            incoming.interrupt()
            try:
                await asyncio.wait([reading])
            except asyncio.CancelledError:
                reading.cancel()
                raise
        if not reading.cancelled() and (error := reading.exception()) is not None:
            raise error from None
        raise


async def _close(incoming: _core.Incoming) -> None:
    if incoming.close():
        # Whoever runs the instance lets the guest learn of it, or there is no guest any more.
        with contextlib.suppress(InstanceBusy, InstancePoisoned):
            rest = incoming.settle()
            if rest is not None:
                await rest


def _close_blocking(incoming: _core.Incoming) -> None:
    if incoming.close():
        with contextlib.suppress(InstanceBusy, InstancePoisoned):  # as in `_close`
            incoming.settle_blocking()


class GuestStream(Generic[T_co]):
    """What a guest's `stream<T>` is in Python: an async iterator of its items.

    A `stream<u8>` gives `bytes`, in chunks as the guest wrote them, of 1 MiB at most; every other
    stream gives one item after the other. Without an event loop the same object is an ordinary
    iterator whose reads block.

    Leaving a `with` or `async with` block closes the stream, as `close` and `aclose` do; so does
    dropping it, of which the guest learns as the instance runs on.

    On cancel, a read ends as soon as the guest waits: nothing is lost, and the stream can be read
    on. A second cancellation does not wait for the guest: the instance is lost, as with a call.

    Raises:
        InstanceBusy: From a blocking read, while the instance runs something else; it can be tried
            again. An awaited read waits for its turn.
        InstancePoisoned: If the instance was closed or failed before the stream ended.
        Trap: If the guest traps, or Python that it reads from raises; the instance is lost.
        LimitExceeded: If the guest writes nothing within `call_timeout`, or reaches another limit;
            the instance is lost.
    """

    __slots__ = ("__weakref__", "_failure", "_incoming")

    def __init__(self, incoming: _core.Incoming) -> None:
        self._incoming = incoming
        # What ended a read that had brought items: it is raised after them.
        self._failure: AirsSysError | None = None

    def __aiter__(self) -> GuestStream[T_co]:
        return self

    async def __anext__(self) -> T_co:
        while (item := self._incoming.take()) is ...:
            self._raise_failure()
            try:
                await _read(self._incoming)
            except AirsSysError as error:
                self._failure = error
        return item  # type: ignore[no-any-return]

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def aclose(self) -> None:
        """Read no more: the guest's writes end, and it runs until it waits for something else.

        A second time does nothing. If the instance runs something else the guest learns of it
        there.

        Raises:
            Trap: If the guest traps over it.
            LimitExceeded: If the guest reaches a limit over it.
        """
        await _close(self._incoming)

    async def __aenter__(self) -> GuestStream[T_co]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __iter__(self) -> GuestStream[T_co]:
        return self

    def __next__(self) -> T_co:
        try:
            while (item := self._incoming.take()) is ...:
                self._raise_failure()
                try:
                    self._incoming.read_blocking()
                except AirsSysError as error:
                    self._failure = error
        except StopAsyncIteration:
            raise StopIteration from None
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        """Read no more; as `aclose`, blocking."""
        _close_blocking(self._incoming)

    def __enter__(self) -> GuestStream[T_co]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<GuestStream {self._incoming.wit}>"


class GuestFuture(Generic[T_co]):
    """What a guest's `future<T>` is in Python: an awaitable, as often as one likes.

    Without an event loop `result()` waits for it. Dropping the object, `close` and `aclose` tell
    the guest that nobody waits. Awaiting runs the instance, and raises, as reading a `GuestStream`
    does; after a close it raises `asyncio.InvalidStateError`.
    """

    __slots__ = ("__weakref__", "_incoming", "_value")

    def __init__(self, incoming: _core.Incoming) -> None:
        self._incoming = incoming
        self._value: Any = ...

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._wait().__await__()

    async def _wait(self) -> T_co:
        while not self._arrived():
            await _read(self._incoming)
        return self._value  # type: ignore[no-any-return]

    def result(self) -> T_co:
        """Wait for the value, blocking."""
        while not self._arrived():
            self._incoming.read_blocking()
        return self._value  # type: ignore[no-any-return]

    def _arrived(self) -> bool:
        if self._value is ...:
            try:
                self._value = self._incoming.take()
            except StopAsyncIteration:
                import asyncio  # noqa: PLC0415 - as above

                message = f"this {self._incoming.wit} was closed or given away; it has no value"
                raise asyncio.InvalidStateError(message) from None
        return self._value is not ...

    async def aclose(self) -> None:
        """Wait no more; as `GuestStream.aclose`."""
        await _close(self._incoming)

    def close(self) -> None:
        """Wait no more; as `aclose`, blocking."""
        _close_blocking(self._incoming)

    def __repr__(self) -> str:
        return f"<GuestFuture {self._incoming.wit}>"
