"""Another incarnation by order: counted by nobody, undone when it does not start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Fail, Get, Keeper, Put

from airssys.rt import PERMANENT, Child, Supervisor

if TYPE_CHECKING:
    from airssys.testing import TestSystem

MODES = ["ok"]


class Mode(Keeper):
    async def started(self) -> None:
        await super().started()
        if MODES[0] != "ok":
            raise ValueError(MODES[0])


@pytest.fixture(autouse=True)
def reset() -> None:
    MODES[0] = "ok"


async def test_a_renewal_keeps_the_queue_and_is_not_counted(system: TestSystem) -> None:
    log: list[Any] = []
    top = await system.start(Supervisor("top", burst=1, children=[Child("a", Mode, log)]))
    ref: Any = top.child("a")
    for _ in range(5):
        ref.tell(Put("before"))
        renewing = system._dispatcher.lifecycle.renew(ref._cell)
        ref.tell(Put("queued"))
        await renewing
        assert await ref.ask(Get()) == ["before", "queued"]
    assert log.count(("stopped", "shutdown")) == 5
    assert top.alive


async def test_a_renewal_that_does_not_start_can_be_undone(system: TestSystem) -> None:
    ref: Any = await system.spawn(Mode, restart=PERMANENT)
    lifecycle = system._dispatcher.lifecycle
    MODES[0] = "broken"
    with pytest.raises(ValueError, match="broken"):
        await lifecycle.renew(ref._cell)
    assert ref.state == "restarting"
    ref.tell(Put(1))
    MODES[0] = "ok"
    await lifecycle.renew_again(ref._cell)
    assert await ref.ask(Get()) == [1]
    ref.tell(Fail(ValueError()))
    await system.settle()
    assert system.inspect(ref).restarts == 2
    assert system.dead_letters.reasons() == ["failed"]


async def test_a_stop_ends_a_renewal(system: TestSystem) -> None:
    ref: Any = await system.spawn(Mode, restart=PERMANENT)
    lifecycle = system._dispatcher.lifecycle
    MODES[0] = "broken"
    with pytest.raises(ValueError, match="broken"):
        await lifecycle.renew(ref._cell)
    await ref.stop()
    assert not ref.alive
