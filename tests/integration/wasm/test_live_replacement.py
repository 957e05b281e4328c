"""A deployment that is replaced a thousand times while it is called, and loses no call."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from airssys.wasm import Host

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
VERSIONS = (COMPONENTS / "calculator.wasm", COMPONENTS / "calculator-1-1.wasm")
NUMBERS = ("1.0.0", "1.1.0")
CALLERS = 8

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(("lifetime", "replacements"), [("pooled", 1000), ("call", 100)])
def test_replacements_under_load_fail_no_call(
    tmp_path: Path, lifetime: str, replacements: int
) -> None:
    async def story() -> tuple[int, int, list[str]]:
        wrong: list[str] = []
        calls = 0
        async with Host.open(tmp_path / "state") as host:
            calculator = await host.deploy(
                VERSIONS[0], name="demo/calculator", lifetime=lifetime, instances=4
            )
            replaced = asyncio.Event()

            async def call(number: int) -> None:
                nonlocal calls
                while not replaced.is_set():
                    addend = calls
                    total = await calculator.call("add", number, addend)
                    if total != number + addend:
                        wrong.append(f"add({number}, {addend}) = {total}")
                    version = await calculator.call("version")
                    if version not in NUMBERS:
                        wrong.append(version)
                    calls += 2
                    await asyncio.sleep(0)

            async with asyncio.TaskGroup() as group:
                for number in range(CALLERS):
                    group.create_task(call(number))
                for number in range(1, replacements + 1):
                    if number % 10 == 0:
                        await calculator.rollback()
                    else:
                        await calculator.deploy(VERSIONS[number % 2])
                    # A caller may still be told the old version, one that comes now may not.
                    live = NUMBERS[VERSIONS.index(_live(calculator))]
                    if await calculator.call("version") != live:
                        wrong.append(f"not {live} after replacement {number}")
                replaced.set()
            failures = calculator.statistics().failures
        return calls, failures, wrong

    calls, failures, wrong = asyncio.run(story())
    assert wrong == []
    assert failures == 0
    assert calls > replacements


def _live(deployment) -> Path:
    digests = {f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}": path for path in VERSIONS}
    return digests[deployment.revision.digest]
