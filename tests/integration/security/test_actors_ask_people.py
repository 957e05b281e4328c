"""Messages of component actors that the policy leaves to a person."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airssys.osl import Policy, Rule, read_records
from airssys.rt import AskTimeout, RequestDropped
from airssys.wasm import Host, Limits
from airssys.wasm.actors import ActorSettings, GuestRefused

BUILT = Path(__file__).parents[3] / "build" / "components"
ASK = Policy(
    rules=(
        Rule(
            name="ask me",
            effect="ask",
            to=("demo/*",),
            kind="messaging",
            access=("ask",),
            target=("demo/*",),
        ),
    )
)
BOUND = 30.0


class Person:
    """Answers on the event loop of the host when the test says so."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, request: object) -> str | None:
        self.loops.append(asyncio.get_running_loop())
        self.asked.set()
        await self.may_answer.wait()
        return self.answer


async def asker(host: Host):
    for name in ("actor-echo", "asker-rust"):
        deployment = await host.deploy(
            BUILT / f"{name}.wasm",
            name=f"demo/{name}",
            lifetime="actor",
            limits=Limits(call_timeout=0.5),
            actor=ActorSettings(
                codec="json",
                config={"target": "demo/actor-echo"} if name == "asker-rust" else {},
            ),
            capabilities={"messaging": [{"ask": "demo/actor-echo"}]},
            grant="requested",
        )
    return await deployment.start()


def decisions(host: Host) -> list[tuple[str, str]]:
    host.osl.audit.flush()
    return [
        (record.decision, record.rule)
        for record in read_records(host.directory / "audit", operation="messaging.ask")
    ]


def test_an_actor_waits_for_a_person_longer_than_its_own_time(tmp_path: Path) -> None:
    async def main() -> None:
        person = Person("carol")
        async with Host.open(tmp_path / "state", policy=ASK, approver=person) as host:
            ref = await asker(host)
            with pytest.raises(AskTimeout):
                await ref.ask({"get": "k"}, 1.0)
            assert person.asked.is_set()
            assert person.loops == [asyncio.get_running_loop()]
            person.may_answer.set()
            # The handler whose asker gave up goes on, and fails on the answer, which is an echo.
            with pytest.raises(RequestDropped):
                await ref.ask({"get": "k"}, BOUND)
            assert decisions(host) == [("ask", "ask me"), ("allow", "ask me")]

    # On real time: what waits is a person.
    asyncio.run(main())


def test_what_a_person_refuses_is_not_sent(tmp_path: Path) -> None:
    async def main() -> None:
        person = Person(None)
        person.may_answer.set()
        async with Host.open(tmp_path / "state", policy=ASK, approver=person) as host:
            ref = await asker(host)
            with pytest.raises(GuestRefused, match="approver refused"):
                await ref.ask({"get": "k"}, BOUND)
            assert decisions(host) == [("ask", "ask me"), ("deny", "approval-refused")]

    # On real time: what waits is a person.
    asyncio.run(main())
