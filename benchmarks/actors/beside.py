"""What an actor notices of others that crash and flood, and what a message hook costs."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import time
from typing import TYPE_CHECKING, Any

from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings
from benchmarks.row import Row
from benchmarks.timing import interleaved
from benchmarks.wasm.guests import guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm.actors import ComponentRef

PAYLOAD = b"\x55" + bytes(63)
#: One crashes fifty times a second, the other sends a thousand messages as often.
CRASHES = [["every", 0.02, {"do": [["trap"]]}]]
FLOODS = [["every", 0.02, {"do": [["flood", "bench/drain", 1000, {}]]}]]


def rows(seconds: float) -> Iterator[Row]:
    """Measure one actor in a host alone, then beside others."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as state:
        logging.disable()  # of every crash
        try:
            alone, beside = runner.run(_beside(state, seconds))
        finally:
            logging.disable(logging.NOTSET)
        yield Row(
            key="actors/beside-p99",
            what="p99 of an ask to a component beside ones that crash and flood",
            measured=beside,
            unit="s",
            peer="the same alone",
            peer_measured=alone,
            ratio_budget=1 / 1.5,
        )
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as state:
        host = runner.run(Host.open(state).__aenter__())
        try:
            plain = runner.run(_deploy(host, "bench/plain", "actor-echo"))
            hooked = runner.run(_deploy(host, "bench/hooked", "actor-echo", message_hooks=True))

            def asks(ref: ComponentRef[Any]) -> Callable[[int], object]:
                return lambda turns: runner.run(_asks(ref, turns))

            with_hooks, without = interleaved(asks(hooked), asks(plain), seconds=2 * seconds)
        finally:
            runner.run(host.close())
        yield Row(
            key="actors/message-hook",
            what="ask to a component whose deployment has message hooks",
            measured=with_hooks,
            unit="s",
            peer="the same without",
            peer_measured=without,
            note="two more trips to the loop",
        )


async def _deploy(
    host: Host, name: str, component: str, *, sends: str = "bench/none", **settings: Any
) -> ComponentRef[Any]:
    deployment = await host.deploy(
        guest(component),
        name=name,
        lifetime="actor",
        actor=ActorSettings(burst=10**9, max_consecutive=10**9, **settings),
        capabilities={"messaging": [{"send": sends}]},
        grant="requested",
    )
    return await deployment.start()


async def _beside(state: str, seconds: float) -> tuple[float, float]:
    async with Host.open(state) as host:
        echo = await _deploy(host, "bench/echo", "actor-echo")
        await _p99(echo, seconds / 4)
        alone = await _p99(echo, seconds)
        await _deploy(host, "bench/drain", "actor-puppet", codec="json")
        for name, script in (("crashes", CRASHES), ("floods", FLOODS)):
            await _deploy(
                host,
                f"bench/{name}",
                "actor-puppet",
                codec="json",
                sends="bench/drain",
                config={"on-initialize": json.dumps(script)},
            )
        return alone, await _p99(echo, seconds)


async def _p99(echo: ComponentRef[Any], seconds: float) -> float:
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await echo.ask(PAYLOAD, 5.0)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) * 99 // 100]


async def _asks(ref: ComponentRef[Any], turns: int) -> None:
    for _ in range(turns):
        await ref.ask(PAYLOAD, 5.0)
