"""What tests of both kinds of actors need: a keeper of values, made of Python or of a component."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airssys._core import MessageRights
from airssys.rt import (
    Actor,
    Ask,
    Bounded,
    Child,
    Down,
    Exit,
    Options,
    Reason,
    Ref,
    Refuse,
    Restarted,
    Tell,
    handles,
)
from airssys.rt.system import DEFAULT_OPTIONS
from airssys.wasm import codecs
from airssys.wasm.actors import ActorSettings, ComponentChild, Hooks
from airssys.wasm.actors.exchange import Exchange
from airssys.wasm.actors.make import Make
from airssys.wasm.actors.site import Site
from airssys.wasm.actors.snapshots import Snapshots
from airssys.wasm.limits import Limits

if TYPE_CHECKING:
    from airssys.testing import TestSystem
    from airssys.wasm import Component
    from airssys.wasm._native import _core
    from airssys.wasm.actors import ComponentRef


class World(Protocol):
    """Makes keepers, which keep what they are told, and the messages that they take."""

    kind: str
    system: TestSystem

    def child(
        self, name: str, *, start: str = "ok", log: list[Any] | None = None, **options: Any
    ) -> Child:
        """A keeper's specification. It starts as `start` says: ok, raise, hang, hang-stop."""
        ...

    async def keeper(self, name: str | None = None, **options: Any) -> Ref[Any]:
        """Start a keeper at the top of the system."""
        ...

    def put(self, value: Any) -> Any:
        """Keep a value."""
        ...

    async def kept(self, ref: Ref[Any], timeout: float = 5.0, priority: Any = None) -> list[Any]:
        """What it keeps."""
        ...

    def echo(self, value: Any = None) -> Any:
        """Reply with the value."""
        ...

    def fail(self) -> Any:
        """Fail."""
        ...

    def refuse(self, words: str) -> Any:
        """Refuse the message."""
        ...

    def wait(self, gate: Gate) -> Any:
        """Wait for the gate within the handler, then reply `waited`."""
        ...

    def unknown(self) -> Any:
        """What it does not handle."""
        ...

    def chain(self, refs: list[Ref[Any]]) -> Any:
        """Ask the first of `refs` to ask the next, and so on; the last replies `end`."""
        ...


class Gate:
    """Something to wait for within a handler, and the actor that components ask for it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.address = ""

    def open(self) -> None:
        self.event.set()


@dataclass(frozen=True, slots=True)
class Put(Tell[Any]):
    value: Any


@dataclass(frozen=True, slots=True)
class Fail(Tell[Any]):
    """Asked or told: it raises."""


@dataclass(frozen=True, slots=True)
class Decline(Ask[Any, None]):
    words: str


@dataclass(frozen=True, slots=True)
class Unknown(Tell[Any]): ...


@dataclass(frozen=True, slots=True)
class Get(Ask[Any, list[Any]]): ...


@dataclass(frozen=True, slots=True)
class Echo(Ask[Any, Any]):
    value: Any = None


@dataclass(frozen=True, slots=True)
class Wait(Ask[Any, str]):
    gate: Gate


@dataclass(frozen=True, slots=True)
class Chain(Ask[Any, Any]):
    refs: tuple[Ref[Any], ...]


class Keeper(Actor):
    """Keeps what it is told, in order."""

    def __init__(self, start: str = "ok", log: list[Any] | None = None, name: str = "") -> None:
        self.values: list[Any] = []
        self.mode, self.log, self.name = start, [] if log is None else log, name

    async def started(self) -> None:
        if self.mode == "raise":
            raise ValueError(self.name)
        if self.mode == "hang":
            await asyncio.sleep(1e6)
        self.log.append(f"+{self.name}")

    async def stopped(self, reason: Reason) -> None:
        self.log.append(f"-{self.name}")
        if self.mode == "hang-stop":
            await asyncio.sleep(1e6)

    async def failed(self, error: BaseException, message: object) -> None:
        self.log.append(f"!{self.name}")

    @handles
    def put(self, message: Put) -> None:
        self.values.append(message.value)

    @handles
    def fail(self, message: Fail) -> None:
        raise ZeroDivisionError("broken")

    @handles
    def decline(self, message: Decline) -> None:
        raise Refuse(ValueError(message.words))

    @handles
    async def get(self, message: Get) -> list[Any]:
        return list(self.values)

    @handles
    def echo(self, message: Echo) -> Any:
        return message.value

    @handles
    async def wait(self, message: Wait) -> str:
        await message.gate.event.wait()
        return "waited"

    @handles
    async def chain(self, message: Chain) -> Any:
        if not message.refs:
            return "end"
        return await message.refs[0].ask(Chain(message.refs[1:]), 3.0)


class PythonWorld:
    """Keepers of Python."""

    kind = "python"

    def __init__(self, system: TestSystem) -> None:
        self.system = system

    def child(self, name: str, *, start: str = "ok", log: Any = None, **options: Any) -> Child:
        return Child(name, Keeper, start, log, name, **options)

    async def keeper(self, name: str | None = None, **options: Any) -> Ref[Any]:
        return await start_at_top(self, name, options)

    def put(self, value: Any) -> Any:
        return Put(value)

    async def kept(self, ref: Ref[Any], timeout: float = 5.0, priority: Any = 1) -> list[Any]:
        found: list[Any] = await ref.ask(Get(), timeout, priority)
        return found

    def echo(self, value: Any = None) -> Any:
        return Echo(value)

    def fail(self) -> Any:
        return Fail()

    def refuse(self, words: str) -> Any:
        return Decline(words)

    def wait(self, gate: Gate) -> Any:
        return Wait(gate)

    def unknown(self) -> Any:
        return Unknown()

    def chain(self, refs: list[Ref[Any]]) -> Any:
        return Chain(tuple(refs))

    async def gate(self) -> Gate:
        return Gate()


class GateKeeper(Actor):
    """Replies when its gate is open."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @handles(reentrant=True)
    async def knock(self, message: dict[str, Any]) -> str:
        await self.gate.event.wait()
        return "open"


class ComponentWorld:
    """Keepers made of the component `actor-puppet`, which does what its messages say."""

    kind = "component"

    def __init__(self, system: TestSystem, puppet: Component) -> None:
        self.system = system
        self.exchange = Exchange(system)
        self.component = puppet
        self._gates = 0

    async def close(self) -> None:
        await self.system.shutdown()
        self.exchange.close()

    def site(
        self,
        address: str,
        *,
        start: str = "ok",
        log: list[Any] | None = None,
        hooks: Hooks | None = None,
        snapshots: bool = False,
        options: Options = DEFAULT_OPTIONS,
        rights: bool = True,
        limits: _core.Limits | None = None,
        **settings: Any,
    ) -> Site:
        scripts: dict[str, Any] = {
            "raise": {"on-initialize": [["fail", "start"]]},
            "hang": {"on-initialize": [["sleep", 1e6]]},
            "hang-stop": {"on-shutdown": [["sleep", 1e6]]},
        }
        everyone = ("**",) if rights else ()
        wanted = ActorSettings(
            mailbox=options.mailbox.capacity,
            on_overflow=options.mailbox.full,
            restart=options.restart.value,
            backoff=None
            if options.backoff is None
            else (options.backoff.minimum, options.backoff.maximum),
            start_timeout=options.start_timeout,
            shutdown=options.shutdown,
            codec="json",
            config={**scripts.get(start, {}), **settings.pop("config", {})},
            **settings,
        )
        make = Make(
            component=self.component._native,
            limits=limits or Limits(call_timeout=30.0).native,
            settings=wanted,
            rights=MessageRights(
                send=everyone,
                ask=everyone,
                broadcast=everyone,
                publish=everyone,
                subscribe=everyone,
            ),
            hooks=hooks or (Hooks() if log is None else Journal(log)),
        )
        return Site(self.exchange, address, make, Snapshots() if snapshots else None)

    def child(
        self,
        name: str,
        *,
        start: str = "ok",
        log: list[Any] | None = None,
        address: str | None = None,
        hooks: Hooks | None = None,
        snapshots: bool = False,
        rights: bool = True,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> Child:
        wanted = Child(name, Actor, **options).options
        site = self.site(
            address or f"test/{name}",
            start=start,
            log=log,
            hooks=hooks,
            snapshots=snapshots,
            options=wanted,
            rights=rights,
            **(settings or {}),
        )
        spec = ComponentChild(name, site)
        spec.options = wanted
        return spec

    async def keeper(self, name: str | None = None, **options: Any) -> ComponentRef[Any]:
        ref: Any = await start_at_top(self, name, options)
        return ref

    def put(self, value: Any) -> Any:
        return {"tag": value}

    async def kept(self, ref: Ref[Any], timeout: float = 5.0, priority: Any = 1) -> list[Any]:
        (tags,) = await ref.ask(do(["tags"]), timeout, priority)
        found: list[Any] = tags
        return found

    def echo(self, value: Any = None) -> Any:
        return do(["reply", value])

    def fail(self) -> Any:
        return do(["fail", "broken"])

    def refuse(self, words: str) -> Any:
        return do(["refuse", words])

    def wait(self, gate: Gate) -> Any:
        return do(["ask", gate.address, {}, 1e6], ["reply", "waited"])

    def unknown(self) -> Any:
        return do(["no-such-action"])

    def chain(self, refs: list[Any]) -> Any:
        message: Any = do(["reply", "end"])
        for ref in reversed(refs):
            message = do(["ask", ref.address, message, 3.0])
        return message

    async def gate(self) -> Gate:
        gate = Gate()
        self._gates += 1
        gate.address = f"gates/gate-{self._gates}"
        self.exchange.expose(await self.system.spawn(GateKeeper, gate), gate.address)
        return gate


class Journal(Hooks):
    """Notes starts, ends and failures, as `Keeper` does."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def after_start(self, ref: ComponentRef[Any]) -> None:
        self.log.append(f"+{ref.name}")

    async def after_stop(self, ref: ComponentRef[Any], reason: Reason) -> None:
        self.log.append(f"-{ref.name}")

    async def on_error(self, ref: ComponentRef[Any], error: BaseException, message: object) -> None:
        self.log.append(f"!{ref.name}")


def do(*actions: list[Any]) -> dict[str, Any]:
    """A message to the puppet."""
    return {"do": list(actions)}


_made = iter(range(10**9))


async def start_at_top(world: Any, name: str | None, options: dict[str, Any]) -> Ref[Any]:
    options.setdefault("restart", DEFAULT_OPTIONS.restart)
    spec = world.child(name or f"keeper-{next(_made)}", **options)
    found: Ref[Any] = await world.system.start_child(world.system._root, spec)
    return found


def json_payload(value: Any) -> bytes:
    return codecs.encode(value, "json")


Notices = (Down, Restarted, Exit)
Small = Bounded(1)
replace = dataclasses.replace
