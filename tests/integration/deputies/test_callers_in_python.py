"""The chain of callers through Python: host functions, handlers of actors, contexts of people."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from deputy_world import COMPONENTS, PREFIX, script

from airssys import osl
from airssys._callers import callers
from airssys._core import MessageRights, Subject
from airssys.osl import (
    OSL,
    AccessDenied,
    NoContext,
    Policy,
    Principal,
    Rule,
    WriteFile,
    current_context,
    read_records,
)
from airssys.rt import Actor, System, handles
from airssys.wasm import Directory, Engine, Trap, Wasi
from airssys.wasm.actors.exchange import Exchange

pytestmark = pytest.mark.anyio

WHO = "acme/calls"
GIT = os.path.realpath("/usr/bin/git")


def names() -> tuple[str, ...]:
    present = callers.get()
    return () if present is None else present.names


@pytest.fixture(scope="module")
def calls():
    return Engine().load(COMPONENTS / "host-calls.wasm")


@pytest.fixture
def system(tmp_path):
    (tmp_path / "data").mkdir()
    allow = {"kind": "filesystem", "access": ("write", "create")}
    policy = Policy(
        rules=(
            Rule(name="calls", to=(WHO,), target=(f"{tmp_path}/data/**",), **allow),
            Rule(name="alice", to=("alice",), target=(f"{tmp_path}/data/alice/**",), **allow),
            Rule(name="service", to=("service",), target=(f"{tmp_path}/data/**",), **allow),
        )
    )
    (tmp_path / "data" / "alice").mkdir()
    with OSL(policy=policy, audit=tmp_path / "audit") as made:
        yield made


def ruled(system: OSL, name: str = WHO) -> Wasi:
    return Wasi(rules=(system.gate, Subject(name, deployment=name)))


def imports(math=None, log=None):
    """The functions that the guest imports; a test gives those that it looks at."""

    def unused(*_arguments):
        raise AssertionError("not called here")

    given = {"next": unused, "scale": unused, "slow": unused} | (math or {})
    return {
        "demo:host/math": given,
        "demo:host/log": {"log": log or unused, "log-at": unused},
        "demo:host/store": {"get": unused, "put": unused, "find": unused},
    }


async def test_a_host_function_knows_for_whom_it_works(calls, system):
    seen = []

    def log(message: str) -> None:
        seen.append((names(), current_context().principal.name))

    instance = calls.instantiate(imports=imports(log=log), wasi=ruled(system))
    instance["log-once"]("x")
    await instance["log-once"].call_async("x")
    with system.acting_as(Principal("alice")):
        instance["log-once"]("x")
    instance["log-once"]("x")
    plain = calls.instantiate(imports=imports(log=log))
    with pytest.raises(Trap) as caught:
        plain["log-once"]("x")
    assert isinstance(caught.value.__cause__, NoContext), "no rules, nobody who acts"
    called = ((WHO,), WHO)
    assert seen == [called, called, (("alice", WHO), WHO), called]
    assert names() == ()


async def test_an_async_host_function_knows_it_also_after_it_waited(calls, system):
    seen, others = [], []
    turn = asyncio.Event()

    async def slow(milliseconds: int) -> int:
        seen.append(names())
        turn.set()
        await asyncio.sleep(0)
        seen.append(names())
        seen.append(await asyncio.create_task(child()))
        return 0

    async def child() -> tuple[str, ...]:
        return names()

    async def beside() -> None:
        await turn.wait()
        others.append(names())

    instance = calls.instantiate(imports=imports({"slow": slow}), wasi=ruled(system))
    with system.acting_as(Principal("alice")):
        calling = asyncio.ensure_future(instance["slow"].call_async(1))
    await asyncio.gather(calling, beside())
    assert seen == [("alice", WHO)] * 3
    assert others == [()]


async def test_operations_of_a_host_function_are_those_of_the_component(calls, system, tmp_path):
    async def slow(where: int) -> int:
        folder = tmp_path / "data" / ("alice" if where else "")
        await system.run(WriteFile(folder / "x", b"1"))
        return 0

    instance = calls.instantiate(imports=imports({"slow": slow}), wasi=ruled(system))
    call = instance["slow"].call_async
    await call(0)
    with system.acting_as(Principal("alice")):
        await call(1)
        with pytest.raises(Trap) as caught:
            await call(0)
    assert isinstance(caught.value.__cause__, AccessDenied)
    found = [
        (each.principal, each.callers, each.decision, each.rule)
        for each in read_records(tmp_path / "audit")
        if each.operation.startswith("filesystem") and each.rule != "r"
    ]
    assert (WHO, (), "allow", "calls") in found
    assert (WHO, ("alice",), "allow", "calls") in found
    assert found[-1] == (WHO, ("alice",), "deny", "default-deny")


async def test_a_service_in_between_does_not_hide_the_person(calls, system, tmp_path):
    async def slow(where: int) -> int:
        with system.acting_as(Principal("service")):
            await system.run(WriteFile(tmp_path / "data" / "y", b"1"))
        return 0

    instance = calls.instantiate(imports=imports({"slow": slow}), wasi=ruled(system))
    await instance["slow"].call_async(0)
    with system.acting_as(Principal("alice")), pytest.raises(Trap):
        await instance["slow"].call_async(0)
    chains = [
        each.callers for each in read_records(tmp_path / "audit") if each.principal == "service"
    ]
    assert chains[0] == (WHO,)
    assert chains[-1] == ("alice", WHO)


async def test_a_guest_gets_no_program_by_way_of_a_host_function(calls, tmp_path):
    """What a host function starts for a guest is started as the guest's, with its arguments."""
    spawn = Rule(
        name="git",
        to=(WHO,),
        kind="process",
        access=("spawn",),
        target=(GIT,),
        arguments=("--version",),
        act_as="self",
    )
    wanted = [
        ("git", ("--version",)),
        ("git", ("--exec-path=/tmp", "--version")),
        ("./git", ("--version",)),
        ("/bin/sh", ("-c", "id")),
    ]

    with OSL(policy=Policy(rules=(spawn,)), audit=tmp_path / "audit") as system:

        async def slow(which: int) -> int:
            program, arguments = wanted[which]
            done = await osl.run(program, *arguments)
            assert done.stdout.startswith(b"git version")
            return 0

        outcomes = []
        for which in range(len(wanted)):
            instance = calls.instantiate(imports=imports({"slow": slow}), wasi=ruled(system))
            try:
                await instance["slow"].call_async(which)
            except Trap as error:
                outcomes.append(type(error.__cause__).__name__)
            else:
                outcomes.append("ran")
        found = [each for each in read_records(tmp_path / "audit") if "spawn" in each.operation]
    assert outcomes == ["ran", "AccessDenied", "OslError", "AccessDenied"]
    assert {each.principal for each in found} == {WHO}
    decided = [each.decision for each in found if each.decision != "outcome"]
    assert decided == ["allow", "deny", "deny", "deny"]


class Broker(Actor):
    """Says for whom it works, and asks or tells others for them."""

    def __init__(self, forward) -> None:
        self.forward = forward
        self.seen: list[tuple[str, ...]] = []

    @handles(dict)
    async def take(self, message: dict) -> object:
        self.seen.append(names())
        await asyncio.sleep(0)
        self.seen.append(names())
        return await self.forward(message)


async def test_a_python_actor_passes_on_for_whom_it_works(deputies, puppet):
    """A component asks a Python actor, that another, and that a component which may write."""
    deputies.load(
        deputies.talk("acme/a"),
        deputies.files("acme/b", "write create"),
    )
    async with System() as system:
        exchange = Exchange(system)

        async def start(name):
            subject = deputies.subject(name)
            wasi = Wasi(
                directories={"/data": Directory(deputies.data, write=True)},
                rules=(deputies.gate, subject),
            )
            actor = exchange.plane.spawn(
                name,
                puppet._native,
                wasi=wasi.native,
                gate=MessageRights.by_rules(deputies.gate, subject),
            )
            await actor.start()
            return actor

        a, b = await start("acme/a"), await start("acme/b")

        async def last(message: dict) -> object:
            answer = await b.ask(script(["write", "/data/x", "1"]), 30.0)
            return json.loads(answer.removeprefix(PREFIX))

        second = await system.spawn(Broker, last, name="second")

        async def onward(message: dict) -> object:
            return await second.ask(message)

        first = await system.spawn(Broker, onward, name="first")
        exchange.expose(first, "python/first")
        answer = await a.ask(script(["ask", "python/first", {"tag": "x"}, 30]), 30.0)
        assert json.loads(answer.removeprefix(PREFIX)) == [{"ok": [{"error": "PermissionDenied"}]}]
        assert await onward({}) == [{"ok": None}], "the host itself may"
        exchange.close()
    assert deputies.records("filesystem")[0].callers == ["acme/a"]
    assert names() == ()
