"""Callers that keep a steady pace from outside the server, and what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx

from airssys.errors import AirsSysError
from airssys.wasm import Host, Trap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from examples.demo.server import Server

Way = Literal["HTTP", "call"]
#: What a call came to: `answered` as it should, `trapped`, or what else it met.
Outcome = str
#: Callers of each kind, and how many calls a second each makes.
HTTP_CALLERS: Final = (16, 25)
CALL_CALLERS: Final = (6, 20)


@dataclass(slots=True)
class Phase:
    """What the callers saw during one part of the run.

    Attributes:
        name: Of the part.
        trial: Whether a revision is tried in it that may fail calls.
        times: Seconds of each call that was answered, from when it was due.
        versions: Of the calculator, as its callers were told.
        trapped: Calls that met a trap of a revision that was tried.
        failures: All others that were not answered as they should.
        took: Seconds that the change took, where there was one.
        memory: Bytes that the server had at its end.
    """

    name: str
    trial: bool = False
    times: dict[Way, array[float]] = field(
        default_factory=lambda: {"HTTP": array("d"), "call": array("d")}
    )
    versions: set[str] = field(default_factory=set)
    trapped: int = 0
    failures: list[str] = field(default_factory=list)
    took: float | None = None
    memory: int = 0

    @property
    def calls(self) -> int:
        """How many calls began in it."""
        answered = sum(map(len, self.times.values()))
        return answered + self.trapped + len(self.failures)

    def quantile(self, way: Way, share: float) -> float | None:
        """Return the seconds below which this share of the calls stayed."""
        ordered = sorted(self.times[way])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


class Load:
    """Callers over HTTP and by the control API, on a thread of their own.

    A call is timed from when it was due: one that could not be made in time is late, and counts so.

    Args:
        server: Where they call.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._broken: BaseException | None = None
        self.phases: list[Phase] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Keep the load up while the body runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()
        self.phases[-1].memory = self._server.memory()
        if self._broken is not None:
            raise self._broken

    def enter(self, name: str, *, trial: bool = False) -> Phase:
        """Begin the next phase, which calls belong to from now on."""
        if self.phases:
            self.phases[-1].memory = self._server.memory()
        self.phases.append(Phase(name, trial))
        return self.phases[-1]

    async def _run(self) -> None:
        try:
            async with (
                Host.connect(self._server.control) as host,
                httpx.AsyncClient(base_url=f"http://{self._server.http}", timeout=30) as client,
                asyncio.TaskGroup() as group,
            ):
                for caller in range(HTTP_CALLERS[0]):
                    group.create_task(self._over_http(client, caller))
                for caller in range(CALL_CALLERS[0]):
                    group.create_task(self._by_calls(host, caller))
                group.create_task(self._visit(client))
                group.create_task(self._greet(host))
                group.create_task(self._ask_version(client))
        except BaseException as error:  # noqa: BLE001 - raised again where the load was begun
            self._broken = error

    async def _over_http(self, client: httpx.AsyncClient, caller: int) -> None:
        async def add(number: int) -> Outcome:
            answer = await client.post("/calc/add", json=[number, caller])
            if answer.status_code == 502 and answer.json()["type"].endswith(":trap"):
                return "trapped"
            right = answer.status_code == 200 and answer.json() == number + caller
            return "answered" if right else f"/calc/add answered {answer} {answer.text}"

        await self._keep_calling("HTTP", HTTP_CALLERS[1], add)

    async def _visit(self, client: httpx.AsyncClient) -> None:
        async def visit(_number: int) -> Outcome:
            page = await client.get("/")
            right = (page.status_code, page.text) == (200, "hello\n")
            return "answered" if right else f"GET / answered {page} {page.text}"

        await self._keep_calling("HTTP", 25, visit)

    async def _by_calls(self, host: Any, caller: int) -> None:
        async def add(number: int) -> Outcome:
            answer = await host.call("demo/calculator", "add", number, caller)
            return "answered" if answer == number + caller else f"add returned {answer}"

        await self._keep_calling("call", CALL_CALLERS[1], add)

    async def _greet(self, host: Any) -> None:
        async def greet(_number: int) -> Outcome:
            answer = await host.call("demo/greeter", "greet", "Ada")
            return "answered" if answer == "Hello, Ada!" else f"greet returned {answer!r}"

        await self._keep_calling("call", 10, greet)

    async def _ask_version(self, client: httpx.AsyncClient) -> None:
        async def version(_number: int) -> Outcome:
            phase = self.phases[-1]
            answer = await client.post("/calc/version", json=[])
            if answer.status_code != 200:
                return f"/calc/version answered {answer} {answer.text}"
            phase.versions.add(answer.json())
            return "answered"

        await self._keep_calling("HTTP", 50, version)

    async def _keep_calling(
        self, way: Way, rate: float, call: Callable[[int], Awaitable[Outcome]]
    ) -> None:
        due, number = time.perf_counter(), 0
        while not self._over.is_set():
            due, number = due + 1 / rate, (number + 1) % 1_000_000
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            phase = self.phases[-1]
            try:
                outcome = await call(number)
            except Trap:
                outcome = "trapped"
            except AirsSysError as error:
                outcome = str(error)
            if outcome == "answered":
                phase.times[way].append(time.perf_counter() - due)
            elif outcome == "trapped" and phase.trial:
                phase.trapped += 1
            else:
                phase.failures.append(f"{phase.name}, {way}: {outcome}")
