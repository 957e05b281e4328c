"""The way between one actor system and one message plane."""

# pyright: reportPrivateUsage=false
# It joins the insides of two runtimes.

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from airssys.errors import AirsSysError
from airssys.rt import ActorFailed, LocalRef
from airssys.rt._cell import ENDED
from airssys.rt._foreign import ForeignCell
from airssys.rt._request import Bucket
from airssys.rt.registry import remember
from airssys.wasm._native import _core
from airssys.wasm.actors.failures import ComponentFailed, failure
from airssys.wasm.actors.log_line import LogLine
from airssys.wasm.actors.ports import PUBLICATION, PythonPort
from airssys.wasm.actors.pump import Pump
from airssys.wasm.actors.shared_topics import SharedTopics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airssys.rt import Ref, System
    from airssys.rt._cell import Cell
    from airssys.wasm.actors.logs import GuestLogs
    from airssys.wasm.actors.place import Place

__all__ = ["Exchange"]

_numbers = itertools.count(1)

P = ParamSpec("P")
T = TypeVar("T")


class Exchange:
    """Carries messages, events and names between Python actors and component actors.

    It belongs to the loop and thread of the system.

    Args:
        system: Where actors are supervised.
        logs: What takes the lines that guests log; None drops them.
        threads: Threads that run guests; they all run on the loop's thread where time is virtual.

    Attributes:
        plane: The message plane.
        places: Component actors that live, by address.
        lost: Events of the plane that were dropped because too many waited, by kind.
    """

    def __init__(self, system: System, logs: GuestLogs | None = None, *, threads: int = 2) -> None:
        self.system = system
        self.places: dict[str, Place] = {}
        self.lost: dict[str, int] = {}
        self._logs = logs
        self._ports: dict[str, PythonPort] = {}
        self._names: dict[Cell, str | None] = {}
        followers = getattr(system.loop, "followers", None)  # where its time is virtual
        self.plane = _core.Plane(failure, threads=threads, virtual=followers is not None)
        self.bridge = self.plane.connect(self._take_messages, self._take_events)
        self._pump = None if followers is None else Pump(self.plane, system.loop, followers)
        dispatcher = system._dispatcher  # noqa: SLF001 - see above
        # Requests that came from components: their deadlines are kept over there.
        self.crossed = Bucket(dispatcher, -math.inf)
        self.crossed.armed = True
        dispatcher.serves = dispatcher.carries = True
        dispatcher.buckets[-math.inf] = self.crossed
        system.registry.watchers.append(self._name_changed)
        for name, ref in system.registry.names().items():
            self._name_changed(name, ref)
        self.topics = SharedTopics(self)

    # Names.

    def expose(
        self,
        ref: Ref[Any],
        address: str,
        *,
        expected: Any = None,
        accepts: Collection[str] | None = None,
    ) -> PythonPort:
        """Let components reach a Python actor by `address`, until it ends.

        Args:
            ref: The actor.
            address: Words joined by slashes.
            expected: What payloads are decoded to, as an annotation: a dataclass, `bytes` for the
                payload itself; None takes what the payload says.
            accepts: The codecs that it takes; None for all that are registered. Another fails
                where it is sent, with both lists.

        Raises:
            NameTaken: Another actor has the address.
            InvalidSpec: The ref is not one of a Python actor of this process.
        """
        cell = _python_cell(ref)
        port = PythonPort(self, cell, address, expected, accepts)
        self._ports[address] = port
        self._names.setdefault(cell, address)
        if self._names[cell] is None:
            self._names[cell] = address
        remember(ref, self)
        return port

    def name_of(self, sender: Cell | None) -> str | None:
        """Return what components know a sender by; it can be answered there."""
        if sender is None:
            return None
        if isinstance(sender, ForeignCell):
            place: Any = sender.outside
            return str(place.address)
        if sender not in self._names:
            if sender.block & ENDED:
                return None
            self._names[sender] = None
            remember(sender.ref, self)
            try:
                self.expose(sender.ref, sender.path.strip("/"))
            except (AirsSysError, ValueError):
                return None  # its place in the tree is no address; it can send but not be answered
        return self._names[sender]

    def cell_of(self, address: str) -> Cell | None:
        """Return the actor of an address."""
        place = self.places.get(address)
        if place is not None:
            return place.cell
        port = self._ports.get(address)
        return None if port is None else port.cell

    def _name_changed(self, name: str, ref: Ref[Any] | None) -> None:
        port = self._ports.get(name)
        if ref is None:
            if port is not None:
                del self._ports[name]
                port.close()
        elif type(ref) is LocalRef and port is None:
            try:
                self.expose(ref, name)
            except (AirsSysError, ValueError):
                return  # a name that is no address is for Python alone

    def leave(self, cell: Cell) -> None:
        """A Python actor has ended."""
        self._names.pop(cell, None)
        for address in [name for name, port in self._ports.items() if port.cell is cell]:
            self._ports.pop(address).close()

    def known_port(self, cell: Cell) -> PythonPort | None:
        """Return a port by which a Python actor is reached, if it has one."""
        return next((port for port in self._ports.values() if port.cell is cell), None)

    def port_of(self, cell: Cell) -> PythonPort:
        """Return a port by which a Python actor is reached; made where it has none."""
        known = self.known_port(cell)
        if known is not None:
            return known
        self.name_of(cell)
        name = self._names.get(cell)
        if name is not None:
            return self._ports[name]
        # Its place in the tree is no address: one that nobody was told.
        return self.expose(cell.ref, f"python-actors/{next(_numbers)}")

    # What comes over.

    def _take_messages(self, batch: list[tuple[Any, ...]]) -> None:
        for port, sender, payload, kind, token, deadline, trace, _topic, priority, served in batch:
            known = self._ports.get(port.address)
            if known is not None:
                kind = min(kind, PUBLICATION)  # noqa: PLW2901 - the same thing, for this side
                known.take(sender, payload, kind, token, deadline, trace, priority, served)

    def _take_events(self, batch: list[tuple[str, str, int, dict[str, Any]]]) -> None:
        lines: list[LogLine] = []
        failing: dict[str, bytes] = {}  # what was being handled; it dies before the failure is told
        for kind, address, incarnation, details in batch:
            if kind == "failed":
                place = self.places.get(address)
                if place is not None and place.native.incarnation == incarnation:
                    error = details["error"]
                    if error is None:
                        error = ComponentFailed(f"'{address}': {details['message']}")
                    place.failed(details["kind"], error, failing.pop(address, None))
            elif kind == "dead":
                if details["reason"] == "failed":
                    failing[address] = details["payload"]
                self._take_dead(address, details)
            elif kind == "message":
                self._ask_hook(address, details)
            elif kind == "log":
                lines.append(self._line(address, details))
            elif kind == "lost":
                for what, count in details.items():
                    self.lost[what] = self.lost.get(what, 0) + count
        if lines and self._logs is not None:
            self._logs.take(lines)

    def _ask_hook(self, address: str, details: dict[str, Any]) -> None:
        place = self.places.get(address)
        if place is not None:
            self.system.own_task(place.hook_message(details))
            return
        gone = self.plane.find(address)
        if gone is not None:
            gone.hook_done(details["token"])

    def _take_dead(self, address: str, details: dict[str, Any]) -> None:
        target = self.cell_of(address)
        sender = self.cell_of(details["sender"]) if details["sender"] else None
        error = details["error"]
        self.system.dead_letters.record(
            details["payload"],
            address if target is None else target.ref,
            None if sender is None else sender.ref,
            details["reason"],
            None if error is None else ActorFailed(error, path=address),
        )

    def _line(self, address: str, details: dict[str, Any]) -> LogLine:
        deployment, _, key = address.partition("#")
        place = self.places.get(address)
        trace = details["trace"] or ""
        return LogLine(
            at=details["time"],
            level="warning" if details["stream"] == "stderr" else details["level"],
            message=details["message"],
            fields=dict(details["fields"]),
            stream=details["stream"],
            deployment=deployment,
            key=key,
            revision=0 if place is None else place.make.revision,
            trace_id=trace.split("-")[1] if trace.count("-") == 3 else trace,
            lost=details["lost"],
        )

    def cycle(self, asker: Cell, target: Cell) -> str | None:
        """Return the circle that `asker` closes by waiting for `target`, or None."""
        names = [asker.path]
        step: Cell | None = target
        while step is not None and len(names) < 1000:
            names.append(step.path)
            if step is asker:
                return " -> ".join(names)
            step = step.awaited()
        return None

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what waits for a disk on a thread."""
        call = functools.partial(function, *args, **kwargs)
        return await self.system.loop.run_in_executor(None, call)

    def close(self) -> None:
        """End everything on the plane. The actors of the system are to be stopped before."""
        if self._pump is not None:
            self._pump.close()
        if self._name_changed in self.system.registry.watchers:
            self.system.registry.watchers.remove(self._name_changed)
        self.topics.close()
        self.bridge.close()
        self.plane.close()


def _python_cell(ref: Ref[Any]) -> Cell:
    from airssys.rt._observing import cell_of  # noqa: PLC0415 - a cycle otherwise
    from airssys.rt.errors import InvalidSpec  # noqa: PLC0415

    cell = cell_of(ref)
    if cell.elsewhere:
        raise InvalidSpec(f"{ref.path} is a component actor and has an address", path=ref.path)
    return cell
