"""Everything that can happen to calls, at random and all at once; what must hold is checked.

Threads share instances, a pooled deployment and the objects that guests hold. They call, await,
cancel, trap, run into limits, close, call again from host functions, let awaitables and event loops
go in the middle, and collect garbage. The same seed chooses the same steps; how they meet is up to
the machine.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import random
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm import (
    Engine,
    Host,
    InstanceBusy,
    InstancePoisoned,
    LimitExceeded,
    Limits,
    Trap,
)
from benchmarks.wasm.guests import guest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airssys.wasm import BlockingDeployment, BlockingHost, Instance

__all__ = ["Turmoil"]

SLOTS: Final = 10
DOCUMENTS: Final = "demo:resources/documents"
LIMITS: Final = Limits(call_timeout=0.03, cpu_per_call=0.02)
#: What may happen to any call of an instance that others use too.
SHARED: Final = (InstanceBusy, InstancePoisoned)

CALL_BACK: Final = b"""(component
  (import "demo:wat/host" (instance $host (export "back" (func (param "depth" u32) (result u32)))))
  (core func $back (canon lower (func $host "back")))
  (core module $m
    (import "host" "back" (func $back (param i32) (result i32)))
    (func (export "enter") (param i32) (result i32)
      (i32.add (i32.const 1) (call $back (local.get 0)))))
  (core instance $i (instantiate $m (with "host" (instance (export "back" (func $back))))))
  (func (export "enter") (param "depth" u32) (result u32)
    (canon lift (core func $i "enter"))))"""


class Turmoil:
    """One run.

    Args:
        seed: What chooses the steps.
        threads: How many threads take steps at once.
        steps: How many each takes.
    """

    def __init__(self, seed: int, threads: int = 8, steps: int = 40) -> None:
        self._seed = seed
        self._threads = threads
        self._steps = steps
        self._alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self._calls = 0
        self._counting = threading.Lock()
        engine = Engine()
        self._faults = engine.load(guest("faults"))
        self._resources = engine.load(guest("resources"))
        self._call_back = engine.load(CALL_BACK)
        self._slots: list[Instance] = []
        self._deployment: BlockingDeployment
        self.wrong: list[str] = []
        self.happened: collections.Counter[str] = collections.Counter()

    def run(self) -> list[str]:
        """Take all the steps; what went wrong."""
        with tempfile.TemporaryDirectory(prefix="airssys-turmoil-") as directory:
            provides = {DOCUMENTS: self._documents()}
            with Host.open_blocking(directory, provides=provides) as host:
                self._deployment = host.deploy(
                    guest("resources"), name="soak/turmoil", lifetime="pooled", instances=2
                )
                self._slots = [self._make(random.Random(slot)) for slot in range(SLOTS)]
                threads = [
                    threading.Thread(target=self._take_steps, args=(number, host))
                    for number in range(self._threads)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self._check_the_end()
        gc.collect()
        if self._alive:
            self.wrong.append(f"{len(self._alive)} documents outlive every guest")
        return self.wrong

    def _check_the_end(self) -> None:
        gc.collect()
        for instance in self._slots:
            if "another call" in repr(instance):
                self.wrong.append(f"nobody calls it, yet: {instance!r}")
            instance.close()
        self._slots.clear()
        counted = self._deployment.statistics()
        if counted.in_flight:
            self.wrong.append(f"{counted.in_flight} calls are in flight that nobody makes")
        if counted.calls != self._calls:
            self.wrong.append(f"{counted.calls} calls counted, {self._calls} made")

    def _take_steps(self, number: int, host: BlockingHost) -> None:
        chance = random.Random(f"{self._seed} {number}")
        steps = {
            self._call: 8,
            self._call_the_deployment: 8,
            self._await_some: 4,
            self._hold_documents: 4,
            self._call_back_and_forth: 4,
            self._replace_an_instance: 2,
            self._close_an_instance: 1,
            self._let_go_in_the_middle: 1,
            self._close_a_loop_in_the_middle: 1,
            self._collect: 1,
        }
        for _ in range(self._steps):
            step = chance.choices(list(steps), list(steps.values()))[0]
            try:
                if number == 0 and chance.random() < 0.1:
                    host.deploy(
                        guest("resources"),
                        name="soak/turmoil",
                        lifetime="pooled",
                        instances=chance.randint(1, 3),
                    )
                step(chance)
                with self._counting:
                    self.happened[step.__name__] += 1
            except Exception as error:  # noqa: BLE001 - reported: whatever it is must not happen
                self.wrong.append(f"{step.__name__}: {type(error).__name__}: {error}")

    def _documents(self) -> dict[str, Any]:
        alive = self._alive

        class Document:
            def __init__(self, name: str) -> None:
                self.held = name
                alive.add(self)

            def read(self, _offset: int, _length: int) -> bytes:
                return b""

            def append(self, data: bytes) -> int:
                return len(data)

            def name(self) -> str:
                return self.held

            @staticmethod
            def open_count() -> int:
                return 0

        def opened(name: str) -> Document:
            if name.startswith("fail"):
                raise RuntimeError(name)
            return Document(name)

        self._document = Document
        return {
            "Document": Document,
            "open": opened,
            "compare": lambda a, b: a is b,
            "archive": lambda document: document.held,
        }

    def _back(self, seed: int) -> Callable[[int], Any]:
        """Make a host function that calls further instances, awaits, fails or never returns."""
        chance = random.Random(seed)

        async def later(depth: int) -> int:
            await asyncio.sleep(0)
            return depth

        async def never(_depth: int) -> int:
            return await asyncio.get_running_loop().create_future()

        def back(depth: int) -> Any:
            kind = chance.random()
            if kind < 0.3:
                return depth
            if kind < 0.6:
                return later(depth)
            if kind < 0.7:
                return never(depth)
            if kind < 0.8:
                raise RuntimeError("as it may")
            if depth < 3:
                with contextlib.suppress(*SHARED, Trap, LimitExceeded):
                    chance.choice(self._slots)["enter"](depth + 1)
            return depth

        return back

    def _make(self, chance: random.Random) -> Instance:
        kind = chance.random()
        if kind < 0.4:
            sink = {"push": lambda _bytes: None, "pull": bytes}
            return self._faults.instantiate(limits=LIMITS, imports={"demo:faults/sink": sink})
        if kind < 0.7:
            back = self._back(chance.getrandbits(32))
            imports = {"demo:wat/host": {"back": back}}
            return self._call_back.instantiate(limits=LIMITS, imports=imports)
        return self._resources.instantiate(imports={DOCUMENTS: self._documents()})

    def _chosen(self, chance: random.Random) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Choose a function of an instance that others use too, and arguments for it."""
        instance = chance.choice(self._slots)
        with contextlib.suppress(KeyError):
            return instance["enter"], (0,)
        with contextlib.suppress(KeyError):
            name = chance.choice(["count", "count", "count", "trap", "spin", "sleep-forever"])
            return instance[name], ()
        counters = "demo:resources/counters#"
        return chance.choice(
            [
                (instance["hoard"], (chance.randint(1, 5),)),
                (instance["release"], ()),
                (instance["rename"], (self._document("draft"), "-2")),
                (instance["open-and-archive"], (chance.choice(["diary", "fail"]),)),
                (instance[f"{counters}make-many"], (3,)),
            ]
        )

    def _call(self, chance: random.Random) -> None:
        function, arguments = self._chosen(chance)
        with contextlib.suppress(*SHARED, Trap, LimitExceeded):
            function(*arguments)

    def _await_some(self, chance: random.Random) -> None:
        async def wait(call: Awaitable[Any]) -> None:
            with contextlib.suppress(*SHARED, Trap, LimitExceeded):
                await call

        async def main() -> None:
            tasks = []
            for _ in range(chance.randint(1, 4)):
                function, arguments = self._chosen(chance)
                call = function.call_async(*arguments)  # type: ignore[attr-defined]
                if chance.random() < 0.2:
                    call.close()
                elif chance.random() < 0.9:
                    tasks.append(asyncio.ensure_future(wait(call)))
            for task in tasks:
                if chance.random() < 0.4:
                    for _ in range(chance.randint(0, 3)):
                        await asyncio.sleep(0)
                    task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if outcome is not None and not isinstance(outcome, asyncio.CancelledError):
                    raise outcome

        asyncio.run(main())

    def _hold_documents(self, chance: random.Random) -> None:
        """On an instance of this thread alone, where every answer is known."""
        instance = self._resources.instantiate(imports={DOCUMENTS: self._documents()})
        counter = instance["demo:resources/counters#[constructor]counter"](chance.randint(0, 9))
        value = counter.value()
        pending = instance["demo:resources/counters#pass-through"].call_async(counter)
        if chance.random() < 0.5:
            pending.close()
        else:
            del pending
        if counter.increment(1) != value + 1:
            raise AssertionError("a counter was lost")
        instance["hoard"](chance.randint(1, 20))
        draft = self._document("draft")
        if instance["rename"](draft, "-2").name() != "draft-2":
            raise AssertionError("a document was lost")
        if chance.random() < 0.5:
            instance.close()

    def _call_the_deployment(self, chance: random.Random) -> None:
        deployment = self._deployment
        with self._counting:
            self._calls += 1
        name = f"{chance.choice(['diary', 'fail'])} {chance.getrandbits(32)}"
        try:
            answer = deployment.call("open-and-archive", name)
        except Trap as trap:
            if str(trap.__cause__) != name or not name.startswith("fail"):
                raise AssertionError(f"the failure of another: {trap.__cause__}") from trap
        else:
            if answer != name:
                raise AssertionError(f"the answer of another: {answer}")

    def _call_back_and_forth(self, chance: random.Random) -> None:
        back = self._back(chance.getrandbits(32))
        instance = self._call_back.instantiate(
            limits=LIMITS, imports={"demo:wat/host": {"back": back}}
        )
        try:
            answer = instance["enter"](chance.randint(0, 3))
        except (Trap, LimitExceeded):
            return
        if not 1 <= answer <= 4:
            raise AssertionError(f"enter answered {answer}")

    def _replace_an_instance(self, chance: random.Random) -> None:
        self._slots[chance.randrange(SLOTS)] = self._make(chance)

    def _close_an_instance(self, chance: random.Random) -> None:
        slot = chance.randrange(SLOTS)
        with contextlib.suppress(InstanceBusy):
            self._slots[slot].close()
        self._slots[slot] = self._make(chance)

    def _let_go_in_the_middle(self, chance: random.Random) -> None:
        async def main() -> None:
            function, arguments = self._chosen(chance)
            call = function.call_async(*arguments)  # type: ignore[attr-defined]
            with contextlib.suppress(*SHARED, Trap, LimitExceeded, StopIteration):
                next(call.__await__())

        asyncio.run(main())

    def _close_a_loop_in_the_middle(self, chance: random.Random) -> None:
        async def wait(call: Awaitable[Any]) -> None:
            with contextlib.suppress(*SHARED, Trap, LimitExceeded):
                await call

        function, arguments = self._chosen(chance)
        loop = asyncio.new_event_loop()
        task = loop.create_task(wait(function.call_async(*arguments)))  # type: ignore[attr-defined]
        for _ in range(chance.randint(1, 3)):
            loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    def _collect(self, _chance: random.Random) -> None:
        gc.collect()
