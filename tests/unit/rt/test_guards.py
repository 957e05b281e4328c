"""Breaker, health, faults, middleware, tracing, events."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Echo, Fail, Get, Keeper, Put

from airssys.rt import (
    PERMANENT,
    Actor,
    ActorFailed,
    Breaker,
    BreakerOpen,
    Delivery,
    Drop,
    Health,
    HealthChanged,
    HealthCheck,
    MessageHandled,
    RequestDropped,
    Tell,
    Unhealthy,
    handles,
)
from airssys.rt.tracing import traceparent

if TYPE_CHECKING:
    from airssys.rt import Ref
    from airssys.testing import TestSystem


async def test_a_breaker_opens_tries_again_and_closes() -> None:
    loop = asyncio.get_running_loop()
    breaker = Breaker("db", failures=3, reset_after=10.0)
    calls = 0
    broken = True

    async def call() -> str:
        nonlocal calls
        calls += 1
        if broken:
            raise ValueError("down")
        return "up"

    for _ in range(3):
        with pytest.raises(ValueError, match="down"):
            await breaker.call(call)
    with pytest.raises(BreakerOpen, match="'db' is open"):
        await breaker.call(call)
    assert (calls, breaker.state, breaker.refused) == (3, "open", 1)
    await asyncio.sleep(10)
    assert breaker.state == "half-open"
    with pytest.raises(ValueError, match="down"):
        await breaker.call(call)
    assert breaker.state == "open"
    broken = False
    await asyncio.sleep(10)
    assert await breaker.call(call) == "up"
    assert breaker.state == "closed"
    assert loop.time() == pytest.approx(20.0)


async def test_health_degrades_turns_unhealthy_and_restarts(system: TestSystem) -> None:
    changes: list[str] = []
    system.events.subscribe(lambda event: changes.append(event.health), HealthChanged)
    log: list[Any] = []
    keeper = await system.spawn(Keeper, log, restart=PERMANENT)
    healthy = True

    async def check(ref: Ref[Any]) -> bool:
        await ref.ask(Get())
        return healthy

    health = HealthCheck(system, keeper, check, interval=10.0, unhealthy_after=3)
    assert (health.health, system.inspect(keeper).health) == (Health.UNKNOWN, "unknown")
    await asyncio.sleep(25)
    assert system.inspect(keeper).health == "healthy"
    healthy = False
    await asyncio.sleep(10)
    assert health.health is Health.DEGRADED
    await asyncio.sleep(20)
    assert log[0] == "started"
    assert Unhealthy.__name__ in log[1][1]
    assert system.inspect(keeper).restarts == 1
    healthy = True
    await asyncio.sleep(20)
    assert health.health is Health.HEALTHY
    assert changes == ["healthy", "degraded", "unhealthy", "healthy"]
    health.cancel()
    await keeper.stop()


async def test_faults_fail_drop_and_delay_by_rule(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper, restart=PERMANENT, name="k")
    system.faults.fail(ZeroDivisionError(), path="/k", kind=Echo, times=1)
    with pytest.raises(ActorFailed):
        await keeper.ask(Echo(1))
    assert await keeper.ask(Echo(1)) == 1
    system.faults.clear()
    system.faults.drop(kind=Echo)
    with pytest.raises(RequestDropped):
        await keeper.ask(Echo(1))
    system.faults.clear()
    system.faults.delay(5.0, kind=Put, times=1)
    keeper.tell(Put("late"))
    keeper.tell(Put("early"))
    await system.settle()
    system.assert_conserved()
    await asyncio.sleep(6)
    assert await keeper.ask(Get()) == ["early", "late"]
    assert system.dead_letters.reasons() == ["failed", "rejected"]


async def test_middleware_sees_deliveries_and_their_ends(system: TestSystem) -> None:
    seen: list[Any] = []

    def watch(delivery: Delivery) -> None:
        delivery.on_finished(lambda error: seen.append((delivery.handler, type(error).__name__)))

    def censor(delivery: Delivery) -> None:
        if delivery.message == Put("bad"):
            raise Drop("rejected")

    def crash(delivery: Delivery) -> None:
        if delivery.message == Put("crash"):
            raise ValueError("in middleware")

    keeper = await system.spawn(Keeper, restart=PERMANENT)
    for middleware in (watch, censor, crash):
        system.add_middleware(middleware)
    for value in ("a", "bad", "crash", "b"):
        keeper.tell(Put(value))
    keeper.tell(Fail(KeyError()))
    assert await keeper.ask(Get()) == []
    assert seen == [
        ("put", "NoneType"),
        ("put", "NoneType"),
        ("fail", "KeyError"),
        ("get", "NoneType"),
    ]
    assert system.dead_letters.reasons() == ["rejected", "failed", "failed"]
    for middleware in (watch, censor, crash):
        system.remove_middleware(middleware)
    assert not system._dispatcher.traced


async def test_message_events_only_while_asked_for(system: TestSystem) -> None:
    handled: list[Any] = []
    subscription = system.events.subscribe(
        lambda event: handled.append(event.message), MessageHandled, messages=True
    )
    keeper = await system.spawn(Keeper)
    keeper.tell(Put(1))
    await keeper.ask(Get())
    subscription.cancel()
    keeper.tell(Put(2))
    await system.settle()
    assert handled == [Put(1), Get()]
    assert not system._dispatcher.traced


@dataclass(frozen=True, slots=True)
class Hop(Tell[Any]):
    path: tuple[Any, ...]


class Hopper(Actor):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    @handles
    async def hop(self, message: Hop) -> None:
        self.seen.append(traceparent.get())
        await asyncio.sleep(1)
        if message.path:
            message.path[0].tell(Hop(message.path[1:]))


async def test_trace_context_travels_in_envelopes(system: TestSystem) -> None:
    seen: list[Any] = []
    hoppers = [await system.spawn(Hopper, seen) for _ in range(3)]
    hoppers[0].tell(Hop(tuple(hoppers[1:])))
    await asyncio.sleep(10)
    assert seen == [None] * 3
    seen.clear()
    system.enable_tracing()
    hoppers[0].tell(Hop(tuple(hoppers[1:])))
    await asyncio.sleep(10)
    parts = [one.split("-") for one in seen]
    assert len({part[1] for part in parts}) == 1  # one trace
    assert len({part[2] for part in parts}) == 3  # a span each
    assert all([len(x) for x in part] == [2, 32, 16, 2] for part in parts)
    system.disable_tracing()


async def test_opentelemetry_spans_by_the_messaging_conventions(
    system: TestSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    seen: list[Any] = []
    one = await system.spawn(Hopper, seen, name="one")
    two = await system.spawn(Hopper, seen, name="two")
    bad = await system.spawn(Keeper, name="bad")
    system.enable_tracing()
    one.tell(Hop((two,)))
    bad.tell(Fail(ValueError("boom")))
    await asyncio.sleep(10)
    spans = {
        span.attributes["messaging.destination.name"]: span
        for span in exporter.get_finished_spans()
    }
    assert set(spans) == {"/one", "/two", "/bad"}
    assert spans["/two"].parent.span_id == spans["/one"].context.span_id
    assert spans["/one"].attributes["messaging.system"] == "airssys"
    assert spans["/one"].kind is trace.SpanKind.CONSUMER
    assert spans["/bad"].status.status_code is trace.StatusCode.ERROR
    system.dead_letters.ignore()
    provider.shutdown()


async def test_a_failing_subscriber_is_kept_and_harms_nobody(system: TestSystem) -> None:
    def bad(_event: Any) -> None:
        raise ValueError("subscriber")

    system.events.subscribe(bad)
    keeper = await system.spawn(Keeper)
    assert await keeper.ask(Echo(1)) == 1
    assert [str(error) for error in system.events.errors] == ["subscriber"]
    system.events.errors.clear()
    await keeper.stop()
    system.events.errors.clear()


async def test_a_probe_expects_messages(system: TestSystem) -> None:
    probe = await system.probe("p")
    probe.ref.tell(Put(1))
    assert await probe.expect_message(Put) == Put(1)
    await probe.expect_no_message(during=5.0)
    with pytest.raises(AssertionError, match="no message came to /p within 2"):
        await probe.expect_message(timeout=2.0)
    probe.reply_with("answer")
    assert await probe.ref.ask(Echo()) == "answer"
    keeper = await system.spawn(Keeper)
    probe.monitor(keeper)
    await keeper.stop()
    assert await probe.expect_message(Echo) == Echo()
    assert (await probe.expect_message()).ref == keeper
