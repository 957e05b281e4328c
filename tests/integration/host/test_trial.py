"""A revision that is tried beside the live one: the native half, with guests as they are."""

from __future__ import annotations

import asyncio
import select
import threading

import pytest

from airssys._core import LineStatistics
from airssys.wasm import GuestError, LimitExceeded, Limits, Trap
from airssys.wasm.engine import Engine
from airssys.wasm.host import Host
from airssys.wasm.host_errors import HostClosed, TrialOver, TrialRunning
from airssys.wasm.settings import settings_from

SALT = b"a secret of this rollout"


def candidate(deployment, path, number=2, **settings):
    """A line of another revision of a deployment, as a rollout prepares it."""
    component = Engine().load(path)
    return deployment._serving.prepare(number, component, settings_from(**settings)).line


@pytest.fixture
def calc(host, guest):
    return host.deploy(guest("calculator"), name="acme/calc")


@pytest.fixture
def route(calc):
    return calc._serving.route


@pytest.fixture
def second(calc, guest):
    return candidate(calc, guest("calculator-1-1"))


@pytest.fixture
def faulty(state, guest):
    """A deployment that fails on request, with a host function that does."""

    def pull(size):
        raise RuntimeError("nothing here")

    with Host.open_blocking(
        state, provides={"demo:faults/sink": {"push": len, "pull": pull}}
    ) as host:
        yield host.deploy(guest("faults"), name="acme/faults")


def version(route, key=None):
    return route.call("version", (), None, key)


def test_the_candidate_takes_its_share_and_stages_count_it(route, second):
    trial = route.split(second, 0.0, salt=SALT)
    assert {version(route) for _ in range(50)} == {"1.0.0"}
    trial.set_weight(0.3)
    versions = [version(route) for _ in range(1000)]
    trial.set_weight(1.0)
    assert {version(route) for _ in range(50)} == {"1.1.0"}
    first, middle, last = trial.stages()
    assert (first.weight, first.calls) == (0.0, (50, 0))
    assert (last.weight, last.calls) == (1.0, (0, 50))
    of_candidate = versions.count("1.1.0")
    assert middle.calls == (1000 - of_candidate, of_candidate)
    assert 200 < of_candidate < 400
    assert middle.bad == {"error": (0, 0), "trap": (0, 0)}


def test_the_same_salt_draws_the_same_sides(calc, route, guest):
    drawn = []
    for _ in range(2):
        line = candidate(calc, guest("calculator-1-1"))
        trial = route.split(line, 0.5, salt=SALT)
        drawn.append([version(route) for _ in range(64)])
        trial.finish(promote=False)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 2


def test_a_key_stays_on_one_side_and_moves_only_to_the_candidate(route, second):
    keys = [f"customer {number}".encode() for number in range(300)]
    trial = route.split(second, 0.1, salt=SALT)
    moved: set[bytes] = set()
    for weight in (0.1, 0.5, 0.9):
        trial.set_weight(weight)
        sides = {key: version(route, key) for key in keys}
        assert sides == {key: version(route, key) for key in keys}
        now = {key for key, side in sides.items() if side == "1.1.0"}
        assert moved < now
        moved = now
    assert moved < set(keys)


@pytest.mark.anyio
async def test_a_key_decides_for_awaited_calls_too(state, guest):
    async with Host.open(state) as host:
        calc = await host.deploy(guest("calculator"), name="acme/calc")
        route = calc._serving.route
        trial = route.split(candidate(calc, guest("calculator-1-1")), 0.5, salt=SALT)
        keys = [f"{number}".encode() for number in range(20)]
        sides = [version(route, key) for key in keys]
        awaited = [await route.call_async("version", (), None, key) for key in keys]
        assert awaited == sides
        # A key is one unit, however often it calls.
        assert trial.stages()[0].calls == (sides.count("1.0.0"), sides.count("1.1.0"))


@pytest.mark.parametrize("promote", [False, True])
def test_finish_leaves_one_line_and_ends_the_other(calc, route, second, promote):
    live = calc._serving._line
    trial = route.split(second, 0.5, salt=SALT)
    trial.finish(promote=promote)
    expected = "1.1.0" if promote else "1.0.0"
    assert {version(route) for _ in range(20)} == {expected}
    loser = live if promote else second
    assert loser.wait_drained(10)
    with pytest.raises(TrialOver, match="acme/calc"):
        trial.set_weight(0.1)
    with pytest.raises(TrialOver):
        trial.finish(promote=promote)


def test_one_trial_at_a_time(calc, route, second, guest):
    trial = route.split(second, 0.5, salt=SALT)
    another = candidate(calc, guest("calculator-1-1"), number=3)
    with pytest.raises(TrialRunning, match="acme/calc"):
        route.split(another, 0.5, salt=SALT)
    trial.finish(promote=False)
    route.split(another, 1.0, salt=SALT)
    assert version(route) == "1.1.0"


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_that_is_no_share_is_refused(route, second, weight):
    with pytest.raises(ValueError, match=r"from 0\.0 to 1\.0"):
        route.split(second, weight, salt=SALT)
    trial = route.split(second, 0.5, salt=SALT)
    with pytest.raises(ValueError, match=r"from 0\.0 to 1\.0"):
        trial.set_weight(weight)
    assert len(trial.stages()) == 1


def test_a_deployment_that_is_deployed_or_removed_in_a_trial_ends_it(calc, route, second, guest):
    trial = route.split(second, 0.5, salt=SALT)
    calc.deploy(guest("calculator-2"))
    with pytest.raises(TrialOver):
        trial.finish(promote=True)
    assert second.wait_drained(10)
    calc.remove()
    with pytest.raises(HostClosed):
        route.split(second, 0.5, salt=SALT)


def test_what_counts_as_bad(faulty, guest):
    route = faulty._serving.route
    line = candidate(faulty, guest("faults"), limits=Limits(call_timeout=0.05))
    trial = route.split(line, 1.0, salt=SALT)
    with pytest.raises(Trap):
        route.call("trap", ())
    with pytest.raises(LimitExceeded):
        route.call("sleep-forever", ())
    with pytest.raises(Trap, match="a host function raised RuntimeError"):
        route.call("drain", (1, 1))
    with pytest.raises(TypeError):
        route.call("recurse", ("deep",))
    assert route.call("count", ()) == 1
    (stage,) = trial.stages()
    # A wrong argument is the caller's, and reaches no revision.
    assert stage.calls == (0, 4)
    assert stage.bad == {"error": (0, 3), "trap": (0, 1)}


def test_the_error_of_a_result_is_not_bad(calc, route, second):
    trial = route.split(second, 1.0, salt=SALT)
    with pytest.raises(GuestError):
        route.call("demo:calc/ops#divide", (1, 0))
    (stage,) = trial.stages()
    assert (stage.calls, stage.bad["error"]) == ((0, 1), (0, 0))


@pytest.mark.anyio
async def test_a_call_that_was_cancelled_is_bad_only_where_it_was_slow(state, guest):
    provides = {"demo:faults/sink": {"push": len, "pull": bytes}}
    async with Host.open(state, provides=provides) as host:
        faulty = await host.deploy(guest("faults"), name="acme/faults")
        route, line = faulty._serving.route, candidate(faulty, guest("faults"))
        an_hour = 3600 * 10**9
        trial = route.split(line, 1.0, salt=SALT, slow=[1, an_hour])

        async def call():
            await route.call_async("sleep-forever", ())

        task = asyncio.create_task(call())
        async with asyncio.timeout(30):
            while not line.in_flight:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while line.in_flight:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
        (stage,) = trial.stages()
        assert stage.calls == (0, 1)
        assert stage.bad == {"error": (0, 0), "trap": (0, 0), "slow0": (0, 1), "slow1": (0, 0)}


def test_a_key_counts_once_and_is_bad_once(faulty, guest):
    route = faulty._serving.route
    trial = route.split(candidate(faulty, guest("faults")), 1.0, salt=SALT)
    for key in (b"one", b"one", b"another", None, None):
        with pytest.raises(Trap):
            route.call("trap", (), None, key)
    (stage,) = trial.stages()
    assert stage.calls == (0, 4)
    assert stage.bad == {"error": (0, 4), "trap": (0, 4)}


def readable(descriptor: int) -> bool:
    waiting = select.poll()  # which takes descriptors above 1,024
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def test_the_watch_wakes_for_the_first_bad_call_since_the_stages_were_read(faulty, guest):
    route = faulty._serving.route
    trial = route.split(candidate(faulty, guest("faults")), 0.5, salt=SALT)
    route.call("count", ())
    assert not readable(trial.watch())
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(Trap):
                route.call("trap", ())
        assert readable(trial.watch())
        trial.stages()
        assert not readable(trial.watch())


def test_quantiles_of_a_revision_come_in_nanoseconds(calc):
    statistics = calc._serving._statistics[1]
    assert LineStatistics().quantile(0.9) == 0
    for number in range(20):
        calc.call("add", number, 1)
    p50, p90 = statistics.quantile(0.5), statistics.quantile(0.9)
    assert 0 < p50 <= p90
    assert p50 == round(calc.statistics().revisions[0].p50 * 1e9)


@pytest.mark.parametrize("lifetime", ["call", "pooled"])
def test_trials_under_load_lose_no_call(host, guest, lifetime):
    """Threads call without pause while candidates are tried, promoted and given up."""
    first, second = guest("calculator"), guest("calculator-1-1")
    calc = host.deploy(first, name="acme/calc", lifetime=lifetime, instances=2)
    route = calc._serving.route
    done, wrong = threading.Event(), []
    answered, ended = [0, 0], threading.Semaphore(0)

    def call(number):
        try:
            while not done.is_set():
                key = None if answered[number] % 2 else answered[number].to_bytes(8)
                if version(route, key) not in {"1.0.0", "1.1.0"}:
                    wrong.append("version")
                answered[number] += 1
                ended.release()
        except Exception as error:  # noqa: BLE001 - any at all is the failure
            wrong.append(error)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(2)]
    for caller in callers:
        caller.start()
    trials, lines = [], []
    try:
        for number in range(2, 32):
            path = second if number % 2 == 0 else first
            line = candidate(calc, path, number, lifetime=lifetime, instances=2)
            trial = route.split(line, 0.05, salt=SALT, slow=[0])
            for weight in (0.5, 1.0):
                trial.set_weight(weight)
            while ended.acquire(blocking=False):
                pass
            # Of three calls that end now, one at least began with this weight.
            assert all(ended.acquire(timeout=30) for _ in range(3)), wrong
            trial.finish(promote=bool(number % 3))
            trials.append(trial)
            lines.append(line)
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert wrong == []
    assert min(answered) > 0
    assert all(line.in_flight == 0 for line in lines)
    tried = 0
    for trial in trials:
        for stage in trial.stages():
            assert stage.bad["error"] == (0, 0)
            tried += sum(stage.calls)
    assert len(trials) <= tried <= sum(answered)
