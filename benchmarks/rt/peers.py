"""The same work done by others, in the same process and run."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5


def asyncio_queue_rate(count: int, bound: int) -> float:
    """Million messages a second from one task to another over `asyncio.Queue`."""

    async def once() -> float:
        queue: asyncio.Queue[int] = asyncio.Queue(bound)

        async def consume() -> None:
            for _ in range(count):
                await queue.get()

        consumer = asyncio.create_task(consume())
        began = time.perf_counter()
        for number in range(count):
            await queue.put(number)
        await consumer
        return time.perf_counter() - began

    async def best() -> float:
        return min([await once() for _ in range(ROUNDS)])

    return count / asyncio.run(best()) / 1e6


def asyncio_queue_ask(count: int) -> float:
    """Median microseconds of a request over a queue, answered through a future."""

    async def once() -> float:
        queue: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        async def serve() -> None:
            while True:
                (await queue.get()).set_result(1)

        server = asyncio.create_task(serve())
        times = []
        for _ in range(count):
            began = time.perf_counter()
            future: asyncio.Future[int] = loop.create_future()
            queue.put_nowait(future)
            await future
            times.append(time.perf_counter() - began)
        server.cancel()
        return median(times) * 1e6

    return asyncio.run(once())


def asks(count: int) -> Iterator[tuple[str, float]]:
    """Median microseconds of an ask in each peer that is installed."""
    if importlib.util.find_spec("pykka"):
        yield "Pykka", _pykka_ask(count)
    if importlib.util.find_spec("xoscar"):
        yield "xoscar", asyncio.run(_xoscar_ask(count))


def _pykka_ask(count: int) -> float:
    import pykka  # noqa: PLC0415 - optional

    class Echo(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message

    ref = Echo.start()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ref.ask(1)
        times.append(time.perf_counter() - began)
    ref.stop()
    return median(times) * 1e6


async def _xoscar_ask(count: int) -> float:
    import xoscar  # noqa: PLC0415 - optional

    class Echo(xoscar.StatelessActor):
        async def echo(self, message: int) -> int:
            return message

    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        ref = await xoscar.create_actor(Echo, address=pool.external_address, uid="echo")
        times = []
        for _ in range(count):
            began = time.perf_counter()
            await ref.echo(1)
            times.append(time.perf_counter() - began)
    return median(times) * 1e6
