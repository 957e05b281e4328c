"""Replacing a revision while it is called: no call is lost, whatever the lifetime."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from airssys._core import ShortTurns
from airssys.wasm.blobs import digest_of
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
@pytest.mark.parametrize(("lifetime", "replacements"), [("pooled", 1000), ("call", 100)])
@pytest.mark.timeout(900)
async def test_awaited_calls_survive_a_thousand_replacements(state, guest, lifetime, replacements):
    """Tasks call without a pause while another replaces; who comes later meets what is live."""
    components = {"1.0.0": guest("calculator"), "1.1.0": guest("calculator-1-1")}
    version_of = {digest_of(path.read_bytes()): name for name, path in components.items()}
    first, second = components.values()
    async with Host.open(state) as host:
        calc = await host.deploy(first, name="acme/calc", lifetime=lifetime, instances=2)
        done = asyncio.Event()
        wrong: list[str] = []

        async def call(start):
            count = 0
            while not done.is_set():
                assert await calc.api.add(start, count) == start + count
                assert await calc.call("version") in components
                count += 1
                await asyncio.sleep(0)
            return 2 * count

        callers = [asyncio.create_task(call(start)) for start in range(8)]
        for number in range(1, replacements + 1):
            if number % 10 == 0:
                await calc.rollback()
            else:
                await calc.deploy(second if number % 2 else first)
            # A caller may still be told the old version, one that comes now may not.
            live = version_of[calc.revision.digest]
            if await calc.call("version") != live:
                wrong.append(f"not {live} after replacement {number}")
        done.set()
        counts = await asyncio.gather(*callers)
        assert wrong == []
        assert min(counts) > 0
        statistics = calc.statistics()
        assert (statistics.calls, statistics.failures) == (sum(counts) + replacements, 0)


def test_a_change_leaves_the_interpreters_interval_as_it_was():
    usual = sys.getswitchinterval()
    with ShortTurns():
        assert sys.getswitchinterval() < usual
        with ShortTurns():
            pass
        assert sys.getswitchinterval() < usual
    assert sys.getswitchinterval() == usual
    try:
        with ShortTurns():
            sys.setswitchinterval(2 * usual)
        assert sys.getswitchinterval() == 2 * usual, "what somebody else has set meanwhile stays"
    finally:
        sys.setswitchinterval(usual)
    with pytest.raises(RuntimeError, match="left more often than entered"):
        ShortTurns().__exit__()
    assert sys.getswitchinterval() == usual
