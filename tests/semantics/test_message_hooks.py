"""Hooks around each message, which a deployment asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from worlds import do, json_payload

from airssys.rt import PERMANENT, ActorFailed, HookFailed
from airssys.wasm.actors import GuestRefused, Hooks

if TYPE_CHECKING:
    from worlds import ComponentWorld

    from airssys.wasm.actors import ComponentRef, MessageSeen


class Watch(Hooks):
    """Notes every message, and refuses those that say so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def before_message(self, ref: ComponentRef[Any], message: MessageSeen) -> None:
        self.calls.append(("before", message.sender, message.asked))
        if b"forbidden" in message.payload:
            raise PermissionError("not this one")

    async def after_message(
        self, ref: ComponentRef[Any], message: MessageSeen, outcome: str
    ) -> None:
        self.calls.append(("after", message.payload, outcome))
        if b"noisy" in message.payload:
            raise ValueError("reported")


async def test_messages_between_components_pass_the_hooks_of_a_deployment_that_asks_for_it(
    components: ComponentWorld,
) -> None:
    watch, unwatched = Watch(), Watch()
    target = await components.keeper(
        hooks=watch, settings={"message_hooks": True}, address="test/target"
    )
    sender = await components.keeper(hooks=unwatched, address="test/sender")
    told = do(["ask", "test/target", do(["reply", 1]), 5.0], ["tell", "test/target", {"tag": 2}])
    assert await sender.ask(told) == [{"ok": 1}, {"ok": None}]
    await components.system.settle()
    assert watch.calls == [
        ("before", "test/sender", True),
        ("after", json_payload(do(["reply", 1])).replace(b" ", b""), "handled"),
        ("before", "test/sender", False),
        ("after", json_payload({"tag": 2}).replace(b" ", b""), "handled"),
    ]
    assert unwatched.calls == []
    assert await components.kept(target) == [2]


async def test_what_is_refused_before_never_reaches_the_guest(components: ComponentWorld) -> None:
    watch = Watch()
    keeper = await components.keeper(hooks=watch, settings={"message_hooks": True})
    with pytest.raises(GuestRefused, match="not this one"):
        await keeper.ask({"tag": "forbidden"})
    keeper.tell({"tag": "forbidden"})
    keeper.tell({"tag": "fine"})
    assert await components.kept(keeper) == ["fine"]
    assert components.system.dead_letters.reasons() == ["rejected", "rejected"]
    await components.system.settle()  # the hook after the last one
    books = components.system.inspect(keeper).books
    assert books.dead_by_reason == {"rejected": 2}
    assert books.accepted == books.handled + books.dead == 4


async def test_what_happens_after_is_told_too(components: ComponentWorld) -> None:
    watch = Watch()
    keeper = await components.keeper(
        hooks=watch, settings={"message_hooks": True}, restart=PERMANENT
    )
    events: list[HookFailed] = []
    components.system.events.subscribe(events.append, HookFailed)
    await keeper.ask(do(["give", "noisy"]))
    with pytest.raises(ActorFailed):
        await keeper.ask(do(["trap"]))
    keeper.tell(do(["unhandled", "what?"]))
    await components.system.settle()
    outcomes = [call[2] for call in watch.calls if call[0] == "after"]
    assert outcomes == ["handled", "failed", "unhandled"]
    assert [str(event.error) for event in events] == ["reported"]
    components.system.dead_letters.ignore()


async def test_a_hook_that_hangs_holds_up_one_message_for_a_calls_time(
    components: ComponentWorld,
) -> None:
    class Hangs(Hooks):
        async def before_message(self, ref: ComponentRef[Any], message: MessageSeen) -> None:
            import asyncio

            if b"hang" in message.payload:
                await asyncio.sleep(1e6)

    keeper = await components.keeper(hooks=Hangs(), settings={"message_hooks": True})
    with pytest.raises(GuestRefused, match="took too long"):
        await keeper.ask({"tag": "hang"}, 60.0)
    keeper.tell({"tag": "fine"})
    assert await components.kept(keeper) == ["fine"]
    components.system.dead_letters.ignore()
