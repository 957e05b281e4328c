"""Replacing a revision while it is called: no call is lost, whatever the lifetime."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airssys.wasm.host import Host


@pytest.mark.parametrize(("lifetime", "replacements"), [("pooled", 200), ("call", 100)])
@pytest.mark.timeout(300)
def test_replacements_under_load_lose_no_call(state, guest, lifetime, replacements):
    """Threads call without a pause while another replaces: by deploys and by rollbacks."""
    versions = {"1.0.0", "1.1.0"}
    first, second = guest("calculator"), guest("calculator-1-1").read_bytes()
    with Host.open_blocking(state) as host:
        calc = host.deploy(first, name="acme/calc", lifetime=lifetime, instances=2)
        done = threading.Event()
        answered: list[int] = []
        wrong: list[object] = []

        def call():
            count = 0
            try:
                while not done.is_set():
                    if calc.call("add", count, 1) != count + 1:
                        wrong.append("sum")
                    if calc.call("version") not in versions:
                        wrong.append("version")
                    count += 1
            except Exception as error:  # noqa: BLE001 - any at all is the failure
                wrong.append(error)
            answered.append(2 * count)

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(replacements // 2):
                calc.deploy(second)
                calc.rollback()
        finally:
            done.set()
            for caller in callers:
                caller.join()
        assert wrong == []
        statistics = calc.statistics()
        assert statistics.failures == 0
        assert statistics.in_flight == 0
        assert statistics.calls == sum(answered)
        assert len(calc.rollouts()) == 1 + replacements
        assert min(answered) > 0
        # The load met the revisions as they came, not the first alone.
        assert sum(each.calls > 0 for each in statistics.revisions) > replacements // 10


@pytest.mark.anyio
@pytest.mark.parametrize("lifetime", ["call", "pooled"])
@pytest.mark.timeout(300)
async def test_awaited_calls_survive_replacements(state, guest, lifetime):
    async with Host.open(state) as host:
        calc = await host.deploy(
            guest("calculator"), name="acme/calc", lifetime=lifetime, instances=2
        )
        done = asyncio.Event()

        async def call(start):
            count = 0
            while not done.is_set():
                assert await calc.api.add(start, count) == start + count
                count += 1
                await asyncio.sleep(0)
            return count

        callers = [asyncio.create_task(call(start)) for start in range(8)]
        for _ in range(50):
            await calc.deploy(guest("calculator-1-1"))
            await calc.rollback()
        done.set()
        counts = await asyncio.gather(*callers)
        statistics = calc.statistics()
        assert (statistics.calls, statistics.failures) == (sum(counts), 0)
