"""Deploying, calling, replacing and rolling back real components, in both forms of a host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading

import pytest

from airssys.wasm import GuestError, LimitExceeded, Limits, Trap, UnknownExport, UnknownImport
from airssys.wasm.host import Host
from airssys.wasm.host_core import HostCore
from airssys.wasm.host_errors import (
    CallDrained,
    DeploymentHeld,
    HostClosed,
    NothingToRollBackTo,
    UnknownDeployment,
)
from airssys.wasm.revision import Settings

pytestmark = pytest.mark.anyio


class TestAwaited:
    async def test_a_deployment_is_live_when_deploy_returns(self, state, guest):
        async with Host.open(state) as host:
            calc = await host.deploy(guest("calculator"), name="acme/calc")
            assert await calc.call("add", 2, 3) == 5
            assert await calc.api.add(2, 3) == 5
            assert await host.call("acme/calc", "demo:calc/ops#divide", 7, 2) == 3
            assert calc.revision.number == 1

    async def test_a_new_revision_takes_the_calls_and_a_rollback_gives_them_back(
        self, state, guest
    ):
        async with Host.open(state) as host:
            calc = await host.deploy(guest("calculator"), name="acme/calc")
            await calc.deploy(guest("calculator-1-1"), why="better")
            assert await calc.api.version() == "1.1.0"
            assert (await calc.rollback(why="worse")).number == 1
            assert await calc.api.version() == "1.0.0"
            assert [(each.number, each.why) for each in calc.history()] == [(1, ""), (2, "better")]
            assert [(each.kind, each.to_revision) for each in calc.rollouts()] == [
                ("deploy", 1),
                ("deploy", 2),
                ("rollback", 1),
            ]

    async def test_calls_run_as_tasks_and_many_at_once(self, state, guest):
        async with Host.open(state) as host:
            calc = await host.deploy(guest("calculator"), name="acme/calc")
            task = asyncio.create_task(calc.call("add", 1, 1))
            sums = await asyncio.gather(*(calc.call("add", number, 1) for number in range(200)))
            assert await task == 2
            assert sums == [number + 1 for number in range(200)]

    async def test_a_cancelled_deploy_leaves_the_deployment_as_it_was(self, state, guest):
        reached, go_on = threading.Event(), threading.Event()

        class Slow(os.PathLike):
            """A path that is not told before it may be."""

            def __fspath__(self):
                reached.set()
                go_on.wait(30)
                return str(guest("calculator-1-1"))

        async with Host.open(state) as host:
            calc = await host.deploy(guest("calculator"), name="acme/calc")
            deploying = asyncio.create_task(calc.deploy(Slow()))
            assert await asyncio.to_thread(reached.wait, 30)
            deploying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await deploying
            go_on.set()
            assert await calc.api.version() == "1.0.0"
        async with Host.open(state) as host:
            assert len(host.deployment("acme/calc").history()) == 1

    async def test_a_deploy_that_was_given_up_is_not_recorded(self, state, guest):
        """What the cancel of the one above tells the thread that deploys."""
        given_up = threading.Event()
        given_up.set()
        core = HostCore(state)
        core.changes.deploy(
            guest("calculator"), name="acme/calc", settings=Settings(), given_up=given_up
        )
        assert core.deployments.names() == ()
        core.close()
        assert list((state / "blobs" / "sha256").iterdir()) == []

    async def test_a_cancelled_call_gives_its_instance_up(self, state, guest):
        async with Host.open(state, provides={"demo:faults/sink": Sink()}) as host:
            faults = await host.deploy(
                guest("faults"), name="acme/faults", lifetime="pooled", instances=1
            )
            sleeping = asyncio.create_task(faults.call("sleep-forever"))
            while faults.statistics().in_flight == 0:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
            waiting = asyncio.create_task(faults.call("count"))
            await asyncio.sleep(0)
            sleeping.cancel()
            assert await waiting == 1
            with pytest.raises(asyncio.CancelledError):
                await sleeping
            assert faults.statistics().revisions[0].cancelled == 1

    async def test_async_host_functions_run_in_the_task_of_the_caller(self, state, guest):
        seen = []

        class Log(Nothing):
            async def log(self, message):
                await asyncio.sleep(0)
                seen.append((message, asyncio.current_task().get_name()))

        async with Host.open(state, provides=host_calls(log=Log())) as host:
            calls = await host.deploy(guest("host-calls"), name="acme/calls")
            task = asyncio.create_task(calls.call("log-once", "hello"), name="mine")
            await task
            assert seen == [("hello", "mine")]
            assert calls.statistics().host_calls == 1

    async def test_a_host_is_used_inside_its_block_only(self, state, guest):
        host = Host.open(state)
        with pytest.raises(HostClosed, match="not open"):
            host.deployments()
        async with host:
            calc = await host.deploy(guest("calculator"), name="acme/calc")
        with pytest.raises(HostClosed):
            calc.call("add", 1, 2)
        with pytest.raises(HostClosed, match="is closed"):
            await host.deploy(guest("calculator"), name="acme/calc")
        with pytest.raises(HostClosed):
            calc.history()
        with pytest.raises(HostClosed, match="opened once"):
            async with host:
                pass


class Sink:
    def push(self, data):
        pass

    def pull(self, size):
        return bytes(size)


class Nothing:
    def __getattr__(self, name):
        if name == "keys" or name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: None


def host_calls(**given):
    """Everything that the guest `host-calls` imports; `given` by interface."""
    return {f"demo:host/{name}": given.get(name, Nothing()) for name in ("log", "store", "math")}


class TestBlocking:
    def test_the_same_without_an_event_loop(self, host, guest):
        calc = host.deploy(guest("calculator"), name="acme/calc")
        assert calc.call("add", 2, 3) == calc.api.add(2, 3) == 5
        calc.deploy(guest("calculator-1-1"))
        assert calc.api.version() == "1.1.0"
        calc.rollback()
        assert calc.api.version() == "1.0.0"

    def test_deployments_come_back(self, state, guest):
        with Host.open_blocking(state) as host:
            host.deploy(guest("calculator"), name="acme/one")
            calc = host.deploy(guest("calculator"), name="acme/two", lifetime="pooled")
            calc.deploy(guest("calculator-1-1"))
            calc.rollback()
        with Host.open_blocking(state) as host:
            assert [each.name for each in host.deployments()] == ["acme/one", "acme/two"]
            calc = host.deployment("acme/two")
            assert calc.api.version() == "1.0.0"
            assert calc.revision.settings.lifetime == "pooled"
            # From a cold revision as well.
            assert calc.rollback(2).number == 2
            assert calc.api.version() == "1.1.0"

    def test_deploying_what_is_live_changes_nothing(self, host, guest):
        calc = host.deploy(guest("calculator"), name="acme/calc")
        host.deploy(guest("calculator").read_bytes(), name="acme/calc")
        calc.deploy(guest("calculator"))
        assert len(calc.history()) == 1
        calc.deploy(guest("calculator"), lifetime="pooled")
        assert len(calc.history()) == 2
        # What was deployed with one setting is deployed with it again.
        calc.deploy(guest("calculator-1-1"))
        assert calc.revision.settings.lifetime == "pooled"

    def test_deploying_again_what_was_rolled_back_from_is_a_new_revision(self, host, guest):
        calc = host.deploy(guest("calculator"), name="acme/calc")
        calc.deploy(guest("calculator-1-1"))
        calc.rollback()
        calc.deploy(guest("calculator-1-1"))
        assert calc.revision.number == 3
        assert calc.rollback().number == 1
        with pytest.raises(NothingToRollBackTo):
            calc.rollback()

    def test_an_import_that_nothing_provides_is_named(self, host, guest):
        with pytest.raises(UnknownImport, match="demo:faults/sink"):
            host.deploy(guest("faults"), name="acme/faults")
        assert host.deployments() == ()

    def test_an_instance_per_call_forgets_and_a_pooled_one_does_not(self, state, guest):
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            fresh = host.deploy(guest("faults"), name="acme/fresh")
            assert [fresh.api.count() for _ in range(3)] == [1, 1, 1]
            pooled = host.deploy(guest("faults"), name="acme/pooled", lifetime="pooled")
            assert [pooled.api.count() for _ in range(3)] == [1, 2, 3]
            with pytest.raises(Trap):
                pooled.api.trap()
            assert pooled.api.count() == 1

    def test_calls_wait_for_a_pooled_instance_in_many_threads(self, host, guest):
        calc = host.deploy(guest("calculator"), name="acme/calc", lifetime="pooled", instances=2)
        wrong = []

        def hammer(start):
            numbers = range(start, start + 500)
            wrong.extend(number for number in numbers if calc.call("add", number, 1) != number + 1)

        threads = [threading.Thread(target=hammer, args=(1000 * index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        statistics = calc.statistics()
        assert (statistics.calls, statistics.failures, statistics.in_flight) == (4000, 0, 0)
        assert statistics.revisions[0].instances <= 2

    def test_a_call_that_waits_for_an_instance_waits_within_its_timeout(self, state, guest):
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            faults = host.deploy(
                guest("faults"),
                name="acme/faults",
                lifetime="pooled",
                instances=1,
                limits=Limits(call_timeout=0.3),
            )

            def sleep():
                with pytest.raises(LimitExceeded):
                    faults.api.sleep_forever()

            sleeper = threading.Thread(target=sleep)
            sleeper.start()
            while faults.statistics().in_flight == 0:
                pass
            # Waits for the only instance until its sleeper has run out of time, or runs out itself.
            with contextlib.suppress(LimitExceeded):
                faults.api.count()
            sleeper.join()
            assert faults.api.count() in {1, 2}
            assert faults.statistics().revisions[0].limits in {1, 2}

    def test_accounting_counts_what_calls_use(self, state, guest):
        stored = {}

        class Store(Nothing):
            def get(self, key):
                return stored.get(key, b"")

            def put(self, entry):
                stored[entry.key] = entry.value
                return 1

            def find(self, prefix, limit):
                return []

        with Host.open_blocking(state, provides=host_calls(store=Store())) as host:
            calls = host.deploy(guest("host-calls"), name="acme/calls")
            calls.call("append", "key", 7)
            calls.call("append", "key", 8)
            assert stored == {"key": b"\x07\x08"}
            assert calls.call("get", "key") == b"\x07\x08"
            statistics = calls.statistics()
            assert statistics.calls == 3
            assert statistics.host_calls == 5
            assert statistics.bytes_in == len("keykeykey")
            assert statistics.bytes_out == 2
            assert statistics.memory_peak >= 65536
            assert 0 < statistics.cpu_seconds < 10
            assert 0 < statistics.revisions[0].p50 <= statistics.revisions[0].p99

    def test_failures_are_counted_by_kind_and_a_guests_own_error_is_none(self, state, guest):
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            calc = host.deploy(guest("calculator"), name="acme/calc")
            with pytest.raises(GuestError):
                calc.call("demo:calc/ops#divide", 1, 0)
            with pytest.raises(TypeError):
                calc.call("add", 1)
            with pytest.raises(UnknownExport):
                calc.call("ad", 1, 2)
            assert (calc.statistics().calls, calc.statistics().failures) == (1, 0)
            faults = host.deploy(
                guest("faults"), name="acme/faults", limits=Limits(cpu_per_call=0.05)
            )
            with pytest.raises(Trap):
                faults.api.trap()
            with pytest.raises(LimitExceeded):
                faults.api.spin()
            revision = faults.statistics().revisions[0]
            assert (revision.traps, revision.limits, revision.failures) == (1, 1, 2)

    def test_memory_of_kept_instances_is_counted_and_given_back(self, state, guest):
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            faults = host.deploy(guest("faults"), name="acme/faults", lifetime="pooled")
            faults.api.allocate(8)
            assert faults.statistics().memory >= 8 << 20
            with pytest.raises(Trap):
                faults.api.trap()
            assert faults.statistics().memory == 0
            assert faults.statistics().memory_peak >= 8 << 20

    def test_a_call_ends_on_the_revision_it_began_on(self, state, guest):
        inside, go_on = threading.Event(), threading.Event()

        class Math(Nothing):
            def next(self, value):
                inside.set()
                assert go_on.wait(30)
                return value + 1

        with Host.open_blocking(state, provides=host_calls(math=Math())) as host:
            calls = host.deploy(guest("host-calls"), name="acme/calls")
            answers = []
            caller = threading.Thread(target=lambda: answers.append(calls.call("count", 1)))
            caller.start()
            assert inside.wait(30)
            calls.deploy(guest("calculator"))
            assert calls.api.add(1, 2) == 3
            assert calls.statistics().in_flight == 1
            go_on.set()
            caller.join()
            assert answers == [1]
            first, second = calls.statistics().revisions
            assert (first.calls, first.failures, second.calls) == (1, 0, 1)

    @pytest.mark.parametrize("function", ["sleep-forever", "spin"])
    def test_a_call_is_ended_when_the_drain_deadline_has_passed(self, state, guest, function):
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            faults = host.deploy(guest("faults"), name="acme/faults", drain=0.1)
            errors = []

            def call():
                try:
                    faults.call(function)
                except CallDrained as error:
                    errors.append(error)

            caller = threading.Thread(target=call)
            caller.start()
            while faults.statistics().in_flight == 0:
                pass
            faults.deploy(guest("calculator"))
            caller.join()
            assert "drain deadline" in str(errors[0])
            assert faults.statistics().revisions[0].cancelled == 1

    def test_a_removed_deployment_takes_no_calls_and_its_name_is_free(self, host, state, guest):
        calc = host.deploy(guest("calculator"), name="acme/calc")
        calc.remove(why="over")
        with pytest.raises(HostClosed, match="'acme/calc' takes no calls"):
            calc.api.add(1, 2)
        with pytest.raises(UnknownDeployment):
            host.deployment("acme/calc")
        assert list((state / "blobs" / "sha256").iterdir()) == []
        assert host.deploy(guest("calculator-1-1"), name="acme/calc").revision.number == 1

    def test_a_deployment_that_cannot_come_back_is_held_and_the_others_run(self, state, guest):
        with Host.open_blocking(state) as host:
            digest = host.deploy(guest("calculator"), name="acme/broken").revision.digest
            host.deploy(guest("calculator-1-1"), name="acme/whole")
        blob = state / "blobs" / "sha256" / digest.removeprefix("sha256:")
        blob.chmod(0o600)
        blob.write_bytes(b"nonsense")
        with Host.open_blocking(state) as host:
            assert host.call("acme/whole", "add", 1, 2) == 3
            broken = host.deployment("acme/broken")
            assert "no longer matches its digest" in broken.held
            with pytest.raises(DeploymentHeld, match="revision 1 cannot be brought back"):
                broken.call("add", 1, 2)
            broken.deploy(guest("calculator"))
            assert broken.held is None
            assert broken.call("add", 1, 2) == 3

    def test_a_missing_host_function_holds_what_needs_it(self, state, guest):
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            host.deploy(guest("faults"), name="acme/faults")
        with Host.open_blocking(state) as host:
            assert "demo:faults/sink" in host.deployment("acme/faults").held
        with Host.open_blocking(state, provides={"demo:faults/sink": Sink()}) as host:
            assert host.call("acme/faults", "count") == 1

    def test_closing_ends_calls_that_run(self, state, guest):
        host = Host.open_blocking(state, provides={"demo:faults/sink": Sink()})
        faults = host.deploy(guest("faults"), name="acme/faults")
        errors = []

        def call():
            try:
                faults.api.sleep_forever()
            except CallDrained as error:
                errors.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        while faults.statistics().in_flight == 0:
            pass
        host.close(timeout=0.05)
        caller.join()
        assert len(errors) == 1
        host.close()
        Host.open_blocking(state).close()

    def test_eight_threads_deploy_the_same_new_name(self, host, guest):
        content = guest("calculator").read_bytes()
        deployments = []
        threads = [
            threading.Thread(
                target=lambda: deployments.append(host.deploy(content, name="acme/calc"))
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(each.history()) for each in deployments] == [1] * 8

    def test_attributes_name_functions(self, host, guest):
        calc = host.deploy(guest("calculator"), name="acme/calc")
        assert dir(calc.api) == ["add", "divide", "mean", "version"]
        assert calc.api.divide(9, 3) == 3
        assert calc.api["demo:calc/ops"].add(1, 2) == 3
        with pytest.raises(AttributeError, match="no function 'divde'; did you mean divide"):
            _ = calc.api.divde

    def test_threads_that_deploy_and_remove_one_name_leave_it_whole(self, host, guest):
        contents = [guest("calculator").read_bytes(), guest("calculator-1-1").read_bytes()]
        wrong = []

        def change(number):
            try:
                for turn in range(20):
                    host.deploy(contents[(number + turn) % 2], name="acme/calc")
                    with contextlib.suppress(UnknownDeployment):
                        host.deployment("acme/calc").remove()
            except Exception as error:  # noqa: BLE001 - any other is the failure
                wrong.append(error)

        threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        calc = host.deploy(contents[0], name="acme/calc")
        assert calc.api.version() == "1.0.0"
