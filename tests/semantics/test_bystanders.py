"""Whatever some components do, the others notice nothing: real guests, on the plane's threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from worlds import do

from airssys.errors import AirsSysError
from airssys.rt import PERMANENT, Bounded, Supervisor
from airssys.wasm import Limits

if TYPE_CHECKING:
    from worlds import ComponentWorld

pytestmark = pytest.mark.real_loop

ASKS = 50
TIMES = 4
#: What each is told several times, and the error that its outcome names; none where it goes well.
MISCHIEF: dict[str, tuple[list[Any], str | None]] = {
    "traps": (["trap"], "ActorFailed"),
    "panics": (["panic", "on purpose"], "ActorFailed"),
    "exits": (["exit", 3], "ActorFailed"),
    "recurses": (["recurse"], "ActorFailed"),
    "eats-memory": (["allocate", 64 << 20], "ActorFailed"),
    "spins-too-long": (["spin"], "ActorFailed"),
    "sleeps-too-long": (["sleep", 1e6], "ActorFailed"),
    "floods": (["flood", "test/sink", 100, {"tag": "flood"}], None),
    "asks-itself": (["ask", "test/asks-itself", {}, 30.0], None),
    "asks-in-a-circle": (
        ["ask", "test/circle", do(["ask", "test/asks-in-a-circle", {}, 30.0]), 30.0],
        None,
    ),
    "answers-twice": (["answer", 12345, "late"], None),
    "sends-garbage": (["tell", "test/right", "hex:ffff"], None),
    "knocks-at-nobody": (["ask", "test/nobody", {}, 30.0], None),
}


async def converse(left: Any) -> list[Any]:
    """Have one bystander ask another, so often; return what the other counted."""
    question = do(["ask", "test/right", do(["counter"]), 30.0])
    return [(await left.ask(question, 30.0))[0] for _ in range(ASKS)]


async def misbehave(bad: Any, action: list[Any]) -> set[str | None]:
    outcomes: set[str | None] = set()
    for _ in range(TIMES):
        try:
            await bad.ask(do(action), 30.0)
            outcomes.add(None)
        except AirsSysError as error:
            outcomes.add(type(error).__name__)
    return outcomes


def assert_undisturbed(components: ComponentWorld, *refs: Any) -> None:
    for ref in refs:
        books = components.system.inspect(ref).books
        # The last may have answered a moment before it has ended.
        assert (books.accepted, books.handled + books.in_flight, books.dead) == (ASKS, ASKS, 0)
        assert (books.asked, books.answered, books.failed) == (ASKS, ASKS, 0)
        assert components.system.inspect(ref).restarts == 0


async def test_the_others_see_no_failure(components: ComponentWorld) -> None:
    left, right = [await components.keeper(name) for name in ("left", "right")]
    await components.keeper("sink", mailbox=Bounded(10), restart=PERMANENT)
    await components.keeper("circle", restart=PERMANENT)
    yard = await components.system.start(Supervisor("yard", burst=1000))
    bad = {}
    for name in MISCHIEF:
        spec = components.child(
            name,
            max_consecutive=1000,
            settings={
                "limits": Limits(
                    memory="16MiB", call_timeout=0.05 if "too-long" in name else 30.0
                ).native
            },
        )
        bad[name] = await yard.start_child(spec)
    counted, *outcomes = await asyncio.gather(
        converse(left), *(misbehave(bad[name], action) for name, (action, _) in MISCHIEF.items())
    )
    assert counted == [{"ok": [count]} for count in range(1, ASKS + 1)]
    assert_undisturbed(components, left, right)
    assert dict(zip(MISCHIEF, outcomes, strict=True)) == {
        name: {error} for name, (_, error) in MISCHIEF.items()
    }
    for name, ref in bad.items():
        assert await ref.ask(do(["give", name]), 30.0) == [name]
        failures = TIMES if MISCHIEF[name][1] else 0
        assert components.system.inspect(ref).restarts == failures, name
    components.system.dead_letters.ignore()


async def test_the_others_go_on_while_more_spin_than_there_are_threads(
    components: ComponentWorld,
) -> None:
    left, right = [await components.keeper(name) for name in ("left", "right")]
    spinning = [await components.keeper(f"spins-{number}") for number in range(3)]
    for ref in spinning:
        ref.tell(do(["spin"]))
    # They go on for thirty seconds, so nobody waited for the end of any.
    assert await converse(left) == [{"ok": [count]} for count in range(1, ASKS + 1)]
    assert_undisturbed(components, left, right)
    for ref in spinning:
        seen = components.system.inspect(ref)
        assert (seen.books.in_flight, seen.restarts) == (1, 0)
        await ref.kill()
    components.system.dead_letters.ignore()
