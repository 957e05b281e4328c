"""The chain: order, and each action of each hook."""

from __future__ import annotations

import asyncio

import pytest

from airssys.osl import (
    Backoff,
    Context,
    Continue,
    DefinitionError,
    Metrics,
    OperationTimeout,
    Principal,
    RateLimited,
    ReadFile,
    Replace,
    Result,
    Retry,
    Stop,
    Suppress,
    hooks,
    middleware,
    rate_limit,
    retry,
    timeout,
)
from airssys.osl.errors import AccessDenied
from airssys.osl.middleware.chain import Call, compose


def call(principal="alice"):
    return Call(ReadFile("/x"), Context(Principal(principal)), None, None)


async def innermost(call):
    return Result(call.operation.path, 0.0, 0.0)


def failing(times, error=ConnectionError):
    """An innermost callable that fails some times and counts its runs."""

    async def run(call):
        run.count += 1
        if run.count <= times:
            raise error(f"attempt {run.count}")
        return Result(run.count, 0.0, 0.0)

    run.count = 0
    return run


def run(proceed, *, principal="alice"):
    async def inside():
        return await proceed(call(principal))

    return asyncio.run(inside())


NO_PAUSE = Backoff(minimum=0.0, maximum=0.0)


def test_higher_priority_stands_further_out_and_equal_ones_in_given_order():
    seen = []

    def noting(name, priority=None):
        async def note(call, proceed):
            seen.append(f"{name} in")
            result = await proceed(call)
            seen.append(f"{name} out")
            return result

        return note if priority is None else middleware(priority=priority)(note)

    chain = [noting("low", -5), noting("first"), noting("second"), noting("high", 5)]
    run(compose(chain, innermost))
    assert seen == [
        *("high in", "first in", "second in", "low in"),
        *("low out", "second out", "first out", "high out"),
    ]


def test_an_object_with_a_marked_call_method_has_its_priority():
    from airssys.osl.middleware.chain import priority_of

    assert priority_of(Metrics()) == 100


def test_something_that_cannot_be_called_is_refused():
    with pytest.raises(DefinitionError, match="not middleware"):
        compose([42], innermost)


def answering(action):
    async def hook(*_):
        return action

    return hook


def test_continue_changes_nothing():
    chain = hooks(before=answering(Continue()), after=answering(Continue()))
    assert run(compose([chain], innermost)).output == "/x"


def test_before_can_replace_the_operation():
    chain = hooks(before=answering(Replace(ReadFile("/y"))))
    assert run(compose([chain], innermost)).output == "/y"


def test_before_can_leave_the_operation_out():
    inner = failing(0)
    result = run(compose([hooks(before=answering(Suppress("instead")))], inner))
    assert (result.output, inner.count) == ("instead", 0)


def test_before_can_stop_the_chain():
    inner = failing(0)
    with pytest.raises(ValueError, match="no further"):
        run(compose([hooks(before=answering(Stop(ValueError("no further"))))], inner))
    assert inner.count == 0


def test_after_can_replace_the_output():
    assert run(compose([hooks(after=answering(Replace("other")))], innermost)).output == "other"


def test_after_can_stop_the_chain():
    with pytest.raises(ValueError, match="too late"):
        run(compose([hooks(after=answering(Stop(ValueError("too late"))))], innermost))


def test_after_can_have_it_done_again():
    async def until_three(_, result):
        return Continue() if result.output == 3 else Retry(5, NO_PAUSE)

    assert run(compose([hooks(after=until_three)], failing(0))).output == 3


def test_an_error_can_be_suppressed():
    assert run(compose([hooks(error=answering(Suppress(None)))], failing(1))).output is None


def test_an_error_can_be_replaced():
    with pytest.raises(KeyError) as caught:
        run(compose([hooks(error=answering(Replace(KeyError("better"))))], failing(1)))
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_an_error_goes_on_by_default():
    with pytest.raises(ConnectionError, match="attempt 1"):
        run(compose([hooks()], failing(1)))


def test_an_error_can_be_retried_as_often_as_it_says():
    inner = failing(2)
    assert run(compose([hooks(error=answering(Retry(3, NO_PAUSE)))], inner)).output == 3
    inner = failing(3)
    with pytest.raises(ConnectionError, match="attempt 3"):
        run(compose([hooks(error=answering(Retry(3, NO_PAUSE)))], inner))
    assert inner.count == 3


@pytest.mark.parametrize(
    ("hook", "action"),
    [("before", Retry()), ("after", Suppress()), ("before", Replace("text")), ("error", 7)],
)
def test_an_action_without_meaning_in_its_hook_is_an_error(hook, action):
    with pytest.raises(DefinitionError, match=hook):
        run(compose([hooks(**{hook: answering(action)})], failing(1 if hook == "error" else 0)))


def test_pauses_grow_stay_in_their_bounds_and_repeat_with_the_seed():
    backoff = Backoff(minimum=0.1, maximum=1.0, seed=7)
    pauses = [backoff.pause(n) for n in range(1, 40)]
    assert all(0.1 <= pause <= 1.0 for pause in pauses)
    assert all(pause <= 0.1 * 2**n for n, pause in enumerate(pauses, 1))
    assert pauses == [Backoff(0.1, 1.0, 7).pause(n) for n in range(1, 40)]
    assert pauses != [Backoff(0.1, 1.0, 8).pause(n) for n in range(1, 40)]


def test_retry_repeats_passing_errors_only():
    assert run(compose([retry(3, backoff=NO_PAUSE)], failing(2))).output == 3
    denied = failing(1, AccessDenied)
    with pytest.raises(AccessDenied):
        run(compose([retry(3, backoff=NO_PAUSE)], denied))
    assert denied.count == 1


def test_timeout_cancels_what_takes_too_long():
    cancelled = []

    async def endless(call):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(OperationTimeout, match=r"file\.read took longer than its 0\.01 s"):
        run(compose([timeout(0.01)], endless))
    assert cancelled == [True]


def test_timeout_leaves_the_timeout_errors_of_others_alone():
    with pytest.raises(TimeoutError, match="attempt 1") as caught:
        run(compose([timeout(60)], failing(1, TimeoutError)))
    assert not isinstance(caught.value, OperationTimeout)


def test_timeout_clock_stands_still_while_paused():
    async def approval(call):
        call.clock.pause()
        # Longer than the whole time allowed; the loop's own timer, not a guess about speed.
        passed = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.05, passed.set_result, None)
        await passed
        call.clock.resume()
        return Result("approved", 0.0, 0.0)

    assert run(compose([timeout(0.02)], approval)).output == "approved"


def test_rate_limit_is_a_bucket_per_principal():
    now = [0.0]
    limit = rate_limit(2.0, burst=3, clock=lambda: now[0])
    proceed = compose([limit], innermost)
    for _ in range(3):
        run(proceed)
    with pytest.raises(RateLimited) as caught:
        run(proceed)
    assert caught.value.context["retry_after"] == pytest.approx(0.5)
    run(proceed, principal="bob")
    now[0] = 0.5
    run(proceed)
    with pytest.raises(RateLimited):
        run(proceed)
    now[0] = 1000.0
    for _ in range(3):
        run(proceed)
    with pytest.raises(RateLimited):
        run(proceed)


def test_rate_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="per_second"):
        rate_limit(0)


def test_metrics_count_by_how_it_ended():
    metrics = Metrics()
    run(compose([metrics], innermost))
    for error in (AccessDenied, ConnectionError):
        with pytest.raises(error):
            run(compose([metrics], failing(1, error)))
    seen = metrics.statistics()["file.read"]
    assert (seen.succeeded, seen.denied, seen.failed) == (1, 1, 1)
    assert sum(count for _, count in seen.histogram) == 3


def test_histogram_buckets_hold_what_their_bounds_say():
    from airssys.osl.middleware.metrics import _BOUNDS, _bucket

    for seconds in (0.0, 1e-6, 1.5e-6, 2e-6, 2.1e-6, 1e-3, 0.5, 60.0):
        bucket = _bucket(seconds)
        assert seconds <= _BOUNDS[bucket] * (1 + 1e-9)
        assert bucket == 0 or seconds > _BOUNDS[bucket - 1] * (1 - 1e-9)
    assert _bucket(1e9) == len(_BOUNDS)
