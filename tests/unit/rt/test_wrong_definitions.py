"""Wrong definitions and specifications get one clear error each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rt_actors import Echo, Fail, Get, Keeper, Put

from airssys.rt import (
    PERMANENT,
    Actor,
    Backoff,
    Bounded,
    Child,
    InvalidHandler,
    InvalidSpec,
    NoCurrentActor,
    SpawnFailed,
    Supervision,
    Supervisor,
    handles,
)
from airssys.testing import TestSystem  # noqa: TC001 - a fixture


def test_a_handler_must_say_its_message() -> None:
    with pytest.raises(InvalidHandler, match="does not say which message"):

        class NoAnnotation(Actor):
            @handles
            def method(self, message):
                pass

    with pytest.raises(InvalidHandler, match="must take the message"):

        class NoParameter(Actor):
            @handles
            def method(self) -> None:
                pass

    with pytest.raises(InvalidHandler, match="both handle"):

        class Twice(Actor):
            @handles
            def one(self, message: Put) -> None:
                pass

            @handles
            def two(self, message: Put) -> None:
                pass

    with pytest.raises(InvalidHandler, match="not a class"):

        class NotAClass(Actor):
            @handles
            def method(self, message: 3) -> None:  # type: ignore[valid-type]
                pass

    with pytest.raises(InvalidHandler, match="message types"):
        handles("text")  # type: ignore[call-overload]


async def test_an_annotation_that_never_resolves_is_reported_at_spawn(system: TestSystem) -> None:
    class Unknown(Actor):
        @handles
        def method(self, message: NeverDefined) -> None:  # type: ignore[name-defined]  # noqa: F821
            pass

    with pytest.raises(SpawnFailed, match="NeverDefined"):
        await system.spawn(Unknown)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bounded(0), "capacity 0 is too small"),
        (lambda: Bounded(1, full="explode"), "policy 'explode' is unknown"),
        (lambda: Backoff(0, 1), "expected 0 < minimum"),
        (lambda: Backoff(2, 1), "expected 0 < minimum"),
        (lambda: Child("a/b", Keeper), "cannot stand in a path"),
        (lambda: Child("", Keeper), "cannot stand in a path"),
        (lambda: Child("a", 3), "not an actor class"),
        (lambda: Child("a", Keeper, shutdown=-1), "shutdown=-1"),
        (lambda: Child("a", Keeper, wrong=1), "wrong"),
        (lambda: Supervision(burst=-1), "burst=-1"),
        (lambda: Supervision(auto_shutdown="maybe"), "auto_shutdown='maybe'"),
        (
            lambda: Supervisor("s", children=[Child("a", Keeper), Child("a", Keeper)]),
            "two children named 'a'",
        ),
    ],
)
def test_wrong_specifications_name_what_is_wrong(make: Any, message: str) -> None:
    with pytest.raises(InvalidSpec) as error:
        make()
    assert message in str(error.value)


async def test_a_factory_that_makes_no_actor_or_fails(system: TestSystem) -> None:
    with pytest.raises(SpawnFailed, match="expected an Actor"):
        await system.spawn(lambda: 3)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidSpec, match="wrong"):
        await system.spawn(Keeper, wrong=1)
    with pytest.raises(SpawnFailed, match="ZeroDivisionError"):
        await system.start(
            Supervisor("s", children=[Child("a", Keeper), Child("b", lambda: 1 / 0)])  # type: ignore[arg-type,return-value]
        )
    await system.settle()
    assert system.cells() == []


async def test_a_factory_that_fails_at_a_restart_escalates_in_the_end(system: TestSystem) -> None:
    made = 0

    def make() -> Keeper:
        nonlocal made
        made += 1
        if made > 1:
            raise ValueError("cannot make another")
        return Keeper()

    top = await system.start(Supervisor("top", children=[Child("k", make)]))
    top.child("k").tell(Fail(ValueError()))
    await system.settle()
    assert made == 4  # three restarts in the period
    assert not top.alive
    system.dead_letters.ignore()


async def test_only_actors_can_watch(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    with pytest.raises(NoCurrentActor, match=r"await ref\.ended"):
        keeper.monitor()
    with pytest.raises(NoCurrentActor):
        keeper.link()


async def test_a_tree_from_plain_data(system: TestSystem) -> None:
    import tomllib

    spec = tomllib.loads(
        """
        name = "bank"
        strategy = "rest-for-one"
        burst = 5
        [[children]]
        name = "ann"
        actor = "keeper"
        args = [["log"]]
        restart = "transient"
        mailbox = { capacity = 10, full = "drop-oldest" }
        backoff = { minimum = 0.5, maximum = 2 }
        [[children]]
        name = "branch"
        [[children.children]]
        name = "bob"
        actor = "keeper"
        """
    )
    top = await system.start(Supervisor.from_dict(spec, {"keeper": Keeper}))
    assert await top.child("branch/bob", Keeper).ask(Echo(1)) == 1
    assert top.supervisor("branch").child("bob").path == "/bank/branch/bob"
    with pytest.raises(InvalidSpec, match="has no child 'carl'"):
        top.child("carl")
    with pytest.raises(InvalidSpec, match="not a Child"):
        top.child("ann", type("Child", (Keeper,), {}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "expected a `name`"),
        ({"name": "s", "strategi": 1}, "unknown key 'strategi'"),
        ({"name": "s", "strategy": "some"}, "strategy 'some' is unknown"),
        ({"name": "s", "children": [{"name": "a", "actor": "x"}]}, "actor 'x' is unknown"),
        (
            {"name": "s", "children": [{"name": "a", "actor": "keeper", "mailbox": {"size": 1}}]},
            "unknown key 'size'",
        ),
        (
            {"name": "s", "children": [{"name": "a", "actor": "keeper", "restart": "no"}]},
            "restart 'no' is unknown",
        ),
    ],
)
def test_wrong_plain_data_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec) as error:
        Supervisor.from_dict(spec, {"keeper": Keeper})
    assert message in str(error.value)


async def test_hooks_that_raise_do_not_stop_the_end(system: TestSystem) -> None:
    class Bad(Keeper):
        async def stopped(self, reason: Any) -> None:
            raise ValueError("in stopped")

        async def failed(self, error: BaseException, message: object) -> None:
            raise ValueError("in failed")

        def carry(self) -> Any:
            raise ValueError("in carry")

    from airssys.rt import HookFailed

    hooks: list[str] = []
    system.events.subscribe(lambda event: hooks.append(event.hook), HookFailed)
    ref = await system.spawn(Bad, restart=PERMANENT)
    ref.tell(Fail(KeyError()))
    assert await ref.ask(Get()) == []
    assert (await ref.stop()).kind == "shutdown"
    assert hooks == ["failed", "carry", "stopped", "stopped"]
    system.dead_letters.ignore()


async def test_a_storm_of_failures_ends_and_loses_nothing_silently(system: TestSystem) -> None:
    top = await system.start(Supervisor("top", children=[Child("k", Keeper)]))
    keeper = top.child("k")
    for _ in range(10):
        keeper.tell(Fail(ValueError()))
    for value in range(10):
        keeper.tell(Put(value))
    await system.settle()
    reasons = system.dead_letters.reasons()
    assert reasons == ["failed"] * 4 + ["stopped"] * 16
    assert not top.alive


async def test_shutdown_always_ends_and_reports(system: TestSystem) -> None:
    class Hanging(Keeper):
        async def stopped(self, reason: Any) -> None:
            while True:
                try:
                    await asyncio.sleep(1e6)
                except asyncio.CancelledError:
                    continue

    await system.spawn(Keeper, name="good")
    await system.spawn(Hanging, name="bad", shutdown=float("inf"))
    report = await system.shutdown(timeout=3.0)
    assert report.killed == ("/bad",)
    assert report.leaked == ("/bad",)
    assert report.stopped == 1
    assert report.seconds == pytest.approx(4.0)
    assert not report.clean
    system.leaks.clear()
