"""A host in another process, used as one of this process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os

import pytest

from airssys.wasm import (
    GuestError,
    Host,
    InvalidComponent,
    InvalidDeploymentName,
    LimitExceeded,
    Limits,
    NothingToRollBackTo,
    Trap,
    UnknownDeployment,
    UnknownExport,
    UnknownRevision,
)
from airssys.wasm.remote.errors import ServerUnreachable

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
def blocking(shared):
    with Host.connect_blocking(shared.address) as host:
        yield host


class TestAwaited:
    async def test_deploy_call_replace_roll_back_and_remove(self, shared, guest):
        async with Host.connect(shared.address) as host:
            calc = await host.deploy(guest("calculator"), name="acme/calc", why="first")
            assert await calc.call("add", 2, 3) == 5
            assert await calc.api.add(2, 3) == 5
            assert await calc.call("demo:calc/ops#add", a=2, b=3) == 5
            assert await host.call("acme/calc", "version") == "1.0.0"
            await calc.deploy(guest("calculator-1-1"), why="better")
            assert await calc.api.version() == "1.1.0"
            assert (await calc.rollback(why="worse")).number == 1
            assert await calc.api.version() == "1.0.0"
            assert [(each.number, each.why) for each in calc.history()] == [
                (1, "first"),
                (2, "better"),
            ]
            assert [each.kind for each in calc.rollouts()] == ["deploy", "deploy", "rollback"]
            assert calc.statistics().calls == 7 - 1
            assert calc.usage().calls == 6
            with pytest.raises(UnknownRevision, match="has no revision 9"):
                await calc.rollback(9)
            with pytest.raises(NothingToRollBackTo):
                await calc.rollback()
            await calc.remove()
            with pytest.raises(UnknownDeployment, match="acme/calc"):
                host.deployment("acme/calc")

    async def test_a_call_raises_what_it_raises_in_process(self, shared, guest):
        async with Host.connect(shared.address) as host:
            calc = await host.deploy(guest("calculator"), name="raise/calc")
            with pytest.raises(GuestError) as guest_error:
                await calc.call("demo:calc/ops#divide", 1, 0)
            assert repr(guest_error.value.value) == "Failure.DivisionByZero()"
            with pytest.raises(UnknownExport) as unknown:
                await calc.call("addd", 1, 2)
            assert unknown.value.near == ["add"]
            with pytest.raises(TypeError, match="u32"):
                await calc.call("add", "one", 2)
            with pytest.raises((ValueError, OverflowError), match="u32"):
                await calc.call("add", -1, 2)

    async def test_many_calls_at_once(self, shared, guest):
        async with Host.connect(shared.address) as host:
            calc = await host.deploy(guest("calculator"), name="many/calc", lifetime="pooled")
            sums = await asyncio.gather(*(calc.call("add", number, 1) for number in range(300)))
            assert sums == [number + 1 for number in range(300)]

    async def test_cancelling_a_call_ends_the_guests_call(self, shared, guest):
        async with Host.connect(shared.address) as host:
            sleepy = await host.deploy(
                guest("clock-random"), name="cancel/sleepy", limits=Limits(call_timeout=3600)
            )
            call = asyncio.create_task(sleepy.call("sleep", 3_600_000))
            while sleepy.statistics().in_flight == 0:
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while sleepy.statistics().in_flight:
                await asyncio.sleep(0)
            assert sleepy.statistics().revisions[0].cancelled == 1

    async def test_no_server_is_one_clear_error(self, tmp_path):
        with pytest.raises(ServerUnreachable, match="no server answers at unix:"):
            async with Host.connect(f"unix:{tmp_path}/control.sock"):
                pass

    async def test_a_server_that_goes_away_is_one_clear_error(self, served, guest):
        async with Host.connect(served.address) as host:
            calc = await host.deploy(guest("calculator"), name="gone/calc")
            served.process.kill()
            served.process.wait()
            with pytest.raises(ServerUnreachable):
                await calc.call("add", 1, 2)
            with pytest.raises(ServerUnreachable):
                calc.history()


class TestBlocking:
    def test_the_same_without_an_event_loop(self, blocking, guest):
        calc = blocking.deploy(guest("calculator"), name="block/calc")
        assert calc.call("add", 2, 3) == calc.api.add(2, 3) == 5
        calc.deploy(guest("calculator-1-1").read_bytes())
        assert calc.api.version() == "1.1.0"
        calc.rollback()
        assert blocking.deployment("block/calc").api.version() == "1.0.0"
        assert "block/calc" in [each.name for each in blocking.deployments()]

    def test_traps_and_limits_are_typed(self, blocking, guest, text_guest):
        deep = blocking.deploy(text_guest("deep-recursion"), name="block/deep")
        with pytest.raises((Trap, LimitExceeded)) as stopped:
            deep.call("down", 2**32 - 1)
        assert stopped.value.call == "down"
        sleepy = blocking.deploy(
            guest("clock-random"), name="block/sleepy", limits=Limits(call_timeout=0.05)
        )
        with pytest.raises(LimitExceeded) as late:
            sleepy.call("sleep", 60_000)
        assert (late.value.limit, late.value.configured) == ("call_timeout", 0.05)

    def test_what_does_not_start_is_refused_and_changes_nothing(self, blocking, guest, text_guest):
        calc = blocking.deploy(guest("calculator"), name="block/same")
        with pytest.raises(Trap):
            calc.deploy(text_guest("start-trap"))
        with pytest.raises(InvalidComponent):
            calc.deploy(b"no component")
        with pytest.raises(InvalidDeploymentName):
            blocking.deploy(guest("calculator"), name="Calc")
        assert [each.number for each in calc.history()] == [1]
        assert calc.api.version() == "1.0.0"

    def test_a_forked_child_goes_on_with_connections_of_its_own(self, blocking, guest):
        calc = blocking.deploy(guest("calculator"), name="fork/calc")
        assert calc.call("add", 1, 1) == 2
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"%d" % calc.call("add", 20, 22))
            os._exit(0)
        os.close(writer)
        assert os.read(reader, 10) == b"42"
        os.waitpid(child, 0)
        assert calc.call("add", 1, 2) == 3
        os.close(reader)

    def test_other_processes_use_it(self, blocking, shared, guest):
        blocking.deploy(guest("calculator"), name="spawn/calc")
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            found = pool.starmap(add_elsewhere, [(shared.address, number) for number in range(8)])
        assert found == [number + 1 for number in range(8)]


def add_elsewhere(address: str, number: int) -> int:
    with Host.connect_blocking(address) as host:
        return host.call("spawn/calc", "add", number, 1)
