"""The mailbox and the guest of one component actor, as its cell in the actor system sees them."""

# pyright: reportPrivateUsage=false
# A cell and what stands behind it know each other's insides.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airssys._callers import callers
from airssys.errors import AirsSysError
from airssys.rt import (
    AskTimeout,
    Down,
    Exit,
    Health,
    HealthCheck,
    HookFailed,
    MailboxFull,
    Priority,
    Reason,
    RequestDropped,
    Restarted,
    RuntimeFailure,
    WaitTimeout,
)
from airssys.rt._foreign import ForeignCell, ForeignRequest
from airssys.rt._mailbox import Extras
from airssys.rt._request import Request, Room
from airssys.wasm.actors.figures import complete_inspection, sum_books
from airssys.wasm.actors.hand_over import HandOverRefused, Kept, inheritance
from airssys.wasm.actors.hooks import MessageSeen
from airssys.wasm.actors.payloads import choose_codec, decode_payload, encode_payload

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from airssys.rt import Books, Inspection
    from airssys.rt._cell import Cell
    from airssys.rt.messages import DeadReason
    from airssys.wasm._native import _core
    from airssys.wasm.actors.make import Make
    from airssys.wasm.actors.ref import ComponentRef
    from airssys.wasm.actors.site import Site

__all__ = ["Place"]

#: States in which an instance is held.
_HOLDING = frozenset({"starting", "running", "suspended", "stopping"})
#: Of so many asks that are answered at once one gives the loop a turn, so that no asker keeps it.
_IN_PLACE = 16
#: Seconds for which the message plane is told to wait where the runtime keeps the time.
_FOREVER = 1e9


class Place:
    """The mailbox and the guest behind one address. It outlives incarnations and revisions.

    Args:
        site: Where it is, and what incarnations are made of.
        cell: The runtime's side.

    Attributes:
        native: The message plane's side.
        starts: Instances that were started.

    Raises:
        NameTaken: A component actor of this address lives.
    """

    def __init__(self, site: Site, cell: ForeignCell) -> None:
        self.site = site
        self.cell = cell
        self.exchange = site.exchange
        self.address = site.address
        self.starts = 0
        self.native: _core.ComponentActor = site.spawn()
        self._settling = False
        self._going: asyncio.Future[str] | None = None
        self._check: HealthCheck | None = None
        self._asks = 0
        self._drained = False
        self._stopping = False
        self._early: tuple[BaseException, bytes | None] | None = None
        self._taking = False
        self.native.keep_state(site.snapshots is not None)

    @property
    def ref(self) -> ComponentRef[Any]:
        """The address in the actor system."""
        return cast("ComponentRef[Any]", self.cell.ref)

    @property
    def make(self) -> Make:
        """What the next incarnation is made of."""
        return self.site.make

    @property
    def codec(self) -> str:
        """In what values are written to it.

        Raises:
            CodecMismatch: It accepts no codec that Python writes by itself.
        """
        return self.make.settings.codec or choose_codec(self.native.accepts)

    def encode(self, message: object) -> bytes:
        """Return the payload of a message to it.

        Raises:
            CodecMismatch: It accepts no codec that Python writes by itself.
            ValueUnencodable: The codec has no bytes for the value.
            PayloadTooLarge: The payload has more bytes than a message may.
        """
        if isinstance(message, bytes):
            return message
        return encode_payload(message, self.codec, int(self.make.settings.message_size))

    # The mailbox, as the cell uses it.

    def put(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> None:
        """Accept a message, or raise why it is not accepted."""
        request, ttl, trace = extra, None, None
        if isinstance(extra, Extras):
            request, trace = extra.request, extra.trace
            if extra.expires is not None:
                ttl = extra.expires - self.cell.dispatcher.clock()
        payload = self.encode(message)
        name = self.exchange.name_of(sender)
        # A message that waited for room is put by whoever made some.
        token = callers.set(extra.callers) if isinstance(extra, Extras) else None
        try:
            if isinstance(request, ForeignRequest):
                self._ask(payload, request, name, priority, trace)
            else:
                self.native.tell(payload, priority=int(priority), ttl=ttl, sender=name, trace=trace)
        except RequestDropped as error:
            self.cell.accepted += 1
            self.cell.bury(message, sender, extra, error.context["reason"])  # type: ignore[arg-type]
        except MailboxFull:
            self.cell.dispatcher.backpressure(self.cell, priority)
            raise
        finally:
            if token is not None:
                callers.reset(token)

    def _ask(
        self,
        payload: bytes,
        request: ForeignRequest[Any],
        sender: str | None,
        priority: Priority,
        trace: str | None,
    ) -> None:
        left = max(0.0, request.expires - self.cell.dispatcher.clock())
        outcome = self.native.ask(payload, left, priority=int(priority), sender=sender, trace=trace)
        self._asks += 1
        request.outcome = outcome
        settle = request_settler(request)
        if outcome.done() and self._asks % _IN_PLACE:
            settle(outcome)
        else:
            outcome.add_done_callback(settle)

    def ask_blocking(self, message: object, timeout: float) -> Any:
        """Ask from any thread but that of a loop, and wait for the reply."""
        payload = self.native.ask_blocking(self.encode(message), timeout)
        return None if payload is None else decode_payload(payload)

    async def ask_payload(self, payload: bytes, timeout: float, priority: Priority) -> bytes | None:
        """Ask with a payload, and await that of the reply. Cancelling withdraws the request."""
        return await self.native.ask(payload, timeout, priority=int(priority))

    def notice(self, message: object, sender: Cell | None) -> None:
        """Send word of another actor's end to the component, as a payload of its codec."""
        kinds = {Down: "down", Restarted: "restarted", Exit: "exit"}
        if isinstance(message, (Down, Restarted, Exit)):
            word = {
                "notice": kinds[type(message)],
                "actor": message.ref.path,
                "reason": message.reason.kind,
            }
            try:
                self.put(word, sender, None, Priority.NORMAL)
            except AirsSysError:  # whoever has ended cannot be told that the mailbox is full
                self.cell.accepted += 1
                self.cell.bury(message, sender, None, "overflow")

    def must_wait(self, priority: Priority) -> bool:  # noqa: ARG002 - the lane is not looked at
        """Whether the way that can wait is to be taken; it is for every policy that may."""
        return self.make.settings.on_overflow in {"fail", "wait"}

    def stand_in_line(self, room: Room) -> None:
        """Send what `room` holds as soon as there is room, in turn."""
        if isinstance(room.extra, Request):  # the message plane makes asks wait by itself
            self.put(room.message, room.sender, room.extra, room.priority)
            room.extra.room = None
            room.settle(None)
            return
        ttl, trace = None, None
        if isinstance(room.extra, Extras):
            trace = room.extra.trace
            if room.extra.expires is not None:
                ttl = room.extra.expires - self.cell.dispatcher.clock()
        sent = self.native.send(
            self.encode(room.message),
            _FOREVER,
            priority=int(room.priority),
            ttl=ttl,
            sender=self.exchange.name_of(room.sender),
            trace=trace,
        )
        if sent.done() and not sent.cancelled() and sent.exception() is None:
            room.settle(None)
            return

        def settle(sent: asyncio.Future[None]) -> None:
            if room.timer is not None:
                room.timer.cancel()
            error = None if sent.cancelled() else sent.exception()
            if error is not None:
                room.fail(error)
            else:
                room.settle(None)

        sent.add_done_callback(settle)
        room.add_done_callback(lambda _: sent.cancel())

    def leave_line(self, room: Room) -> None:
        """Nothing: what `room` waits for is given up when it is done."""

    def suspended(self, on: bool) -> None:
        """Take no further message, or go on."""
        if on:
            self.native.suspend()
        else:
            self.native.resume()

    def drain(self, done: Callable[[], None]) -> None:
        """Take no more, and call `done` once all that is queued was handled."""
        stopping = self.native.stop(drain=True, timeout=_FOREVER)

        def stopped(_stopping: asyncio.Future[str]) -> None:
            self._drained = True
            done()

        stopping.add_done_callback(stopped)

    def release(self) -> bool:
        """Drop the instance; False when there is none."""
        if self._going is not None:
            return True
        if self._taking and not self.cell.details().killed:
            return False  # what runs is the next incarnation already
        self._taking = False
        if self.native.state not in _HOLDING:
            return False
        going = self._going = self.native.kill()
        going.add_done_callback(self._gone)
        return True

    def _gone(self, going: asyncio.Future[str]) -> None:
        self._going = None
        if not going.cancelled():
            going.exception()  # a killed actor that was gone already is what was wanted
        control = self.cell.details().control
        if control is not None:
            control.poke()

    def ended(self, reason: DeadReason) -> None:  # noqa: ARG002 - the plane says `stopped`
        """The address has ended: what is queued dies, the name is free."""
        if self.native.state not in {"stopped", "stopping"}:
            self.native.discard()
        if self.exchange.places.get(self.address) is self:
            del self.exchange.places[self.address]

    def waits_for(self) -> Cell | None:
        """The actor whose reply the guest awaits."""
        target = self.native.inspect()["waiting_for"]
        return None if target is None else self.exchange.cell_of(target)

    def books(self, pending: int) -> Books:  # noqa: ARG002 - the plane counts them too
        """The counters of the mailbox."""
        return sum_books(self.cell, self.native.inspect(), self._asks)

    def inspection(self, seen: Inspection) -> Inspection:
        """What is seen of the cell, with what the message plane knows."""
        kept = None if self.site.snapshots is None else self.site.snapshots.last
        return complete_inspection(seen, self.native.inspect(), kept)

    # The life of incarnations, as the actor in the cell runs it.

    async def start(self) -> None:
        """Make an instance, initialise it, and give it the state that was kept."""
        hooks = self.make.hooks
        again = self.starts > 0
        self._stopping = False
        if self._taking:  # it runs already
            self._taking = self._settling = False
        else:
            if hooks.given:
                await hooks.before_start(self.ref)
            await self._instantiate()
        self.native.hook_messages(self.make.settings.message_hooks)
        self.starts += 1
        if self._early is not None:  # it ran, and failed before it was known to run
            early, self._early = self._early, None
            self.cell.dispatcher.lifecycle.fail(self.cell, *early)
            return
        if hooks.given:
            await hooks.after_start(self.ref)
            if again:
                await hooks.after_restart(self.ref)
        if self._check is None and self.make.settings.health_interval > 0:
            self._watch_health()
        if self.site.snapshots is not None and "state" in self.native.exports:
            self.site.snapshots.schedule(self)

    async def _instantiate(self) -> None:
        inherited = None
        if self.site.snapshots is not None:
            inherited = await self.site.snapshots.inherited(self, self.make)
        self._settling = True
        try:
            if inherited is None:
                await self.native.start()
            else:
                await self.native.start(inherited.kept.snapshot, inherited.version)
        except BaseException:
            self._early = None
            raise
        finally:
            self._settling = False

    def gone(self, reason: Reason) -> bool:
        """Whether the instance has failed and nobody wants to know: then its end takes no time."""
        if not reason.abnormal or self.make.hooks.given or self.native.state in _HOLDING:
            return False
        self._taking, self._settling, self._stopping = False, False, True
        return True

    async def stop(self, reason: Reason, *, final: bool) -> None:
        """End the instance: what is being handled ends, then `shutdown`; or drop a failed one."""
        hooks = self.make.hooks
        if self._taking and not final and not reason.abnormal:
            await self.quietly("after_stop", hooks.after_stop(self.ref, reason))
            await self.quietly("before_restart", hooks.before_restart(self.ref, reason))
            return
        self._taking, self._settling, self._stopping = False, False, True
        if reason.abnormal:
            if self.native.state in _HOLDING:
                await self.native.fail()
            await self.quietly("after_stop", hooks.after_stop(self.ref, reason))
            if not final:
                await self.quietly("before_restart", hooks.before_restart(self.ref, reason))
            return
        if self.native.state not in _HOLDING and not self._drained:
            return
        await self.quietly("before_stop", hooks.before_stop(self.ref, reason))
        if self._drained:
            pass  # the plane has stopped it after its queue
        elif final:
            await self.native.stop(timeout=_FOREVER)  # the runtime keeps the time
        else:
            await self.native.retire(timeout=self.make.settings.shutdown)
        left = self.native.parting()
        if left is not None and self.site.snapshots is not None:
            await self.quietly("snapshot", self.site.snapshots.keep(self, left))
        await self.quietly("after_stop", hooks.after_stop(self.ref, reason))
        if not final:
            await self.quietly("before_restart", hooks.before_restart(self.ref, reason))

    def written(self, snapshot: bytes) -> Kept:
        """Return a snapshot of the present incarnation as it is kept."""
        about = self.native.about
        return Kept(
            snapshot,
            self.make.revision,
            None if about is None else about["version"],
            self.make.settings.state_rules.rollback,
        )

    @property
    def can_make_room(self) -> bool:
        """Whether an incarnation runs beside which the next one can be made."""
        return self.native.state in {"running", "suspended"} and self._going is None

    async def prepare(self, make: Make, *, undo: bool = False) -> None:
        """Make the next incarnation beside this one, which is given nothing meanwhile.

        Either `take_over` or `stay` follows.

        Args:
            make: What it is made of.
            undo: Go back to what `make` left, whatever the rules say.

        Raises:
            HandOverRefused: The state may not be handed over, or the component refused it.
            BaseException: What kept it from starting. This one goes on with its state.
        """
        await make.hooks.before_start(self.ref)
        how, version, given = await self._hand_over(make, undo=undo)
        try:
            left = await self.native.prepare(
                make.component,
                how,
                version=version,
                given=given,
                timeout=make.settings.start_timeout,
                shutdown=self.make.settings.shutdown,
                **make.parts,
            )
        except AirsSysError as error:
            if error.context.get("function") in {"restore", "migrate"}:
                raise HandOverRefused(
                    f"revision {make.revision} of '{self.address}' does not take the state of "
                    f"revision {self.make.revision}, which goes on with it: {error}",
                    address=self.address,
                ) from error
            raise
        if left is not None and self.site.snapshots is not None:
            await self.site.snapshots.keep(self, left)

    async def _hand_over(self, make: Make, *, undo: bool) -> tuple[str, str | None, bytes | None]:
        """Return how the state is handed over, the version that wrote it, and another state."""
        snapshots = self.site.snapshots
        if snapshots is None or not make.exports("state"):
            return "nothing", None, None
        kept = await snapshots.kept(self)
        if not undo and self.make.exports("state"):
            # What it is about to leave, whose bytes are not known yet.
            now = self.written(b"")
            kept = (now, *(one for one in kept if one.revision != now.revision))
        elif undo:
            kept = tuple(one for one in kept if one.revision == make.revision)
        found = inheritance(self.address, kept, make)
        if found is None:
            return "nothing", None, None
        if undo or found.kept.revision != self.make.revision:
            return "given", found.version, found.kept.snapshot
        return ("restore" if found.version is None else "migrate"), found.version, None

    async def stay(self) -> None:
        """Drop what was prepared; this incarnation goes on."""
        await self.native.decide(takes=False)

    async def take_over(self, make: Make) -> None:
        """Put what was prepared in the place of this incarnation."""
        reason = Reason.SHUTDOWN
        await self.quietly("before_stop", self.make.hooks.before_stop(self.ref, reason))
        self._taking = self._settling = True
        await self.native.decide(takes=True)
        self.site.make = make
        self.native.regrant(make.rights)
        try:
            await self.cell.dispatcher.lifecycle.renew(self.cell)
        except RuntimeFailure:  # it is ending anyway, and what runs goes with it
            self._taking = self._settling = False

    async def quietly(self, hook: str, calling: Any) -> None:
        """Await a hook; what it raises is reported and the end goes on."""
        try:
            await calling
        except Exception as error:  # noqa: BLE001 - reported; the end goes on
            self.exchange.system.events.publish(HookFailed(self.ref, hook, error))

    def failed(self, kind: str, error: BaseException, message: bytes | None) -> None:
        """The instance has failed; supervision decides."""
        if kind in {"killed", "start"} or self._stopping or self._going is not None:
            return  # whoever started or killed it learns it from there
        if self._settling:
            self._early = error, message
            return
        self.cell.dispatcher.lifecycle.fail(self.cell, error, message)

    async def hook_message(self, details: dict[str, Any]) -> None:
        """Call a message hook while the guest waits for it."""
        hooks, outcome = self.make.hooks, details["outcome"]
        seen = MessageSeen(
            details["payload"], details["sender"], details["topic"], asked=details["ask"]
        )
        refusal = None
        try:
            if outcome is None:
                await hooks.before_message(self.ref, seen)
            else:
                await hooks.after_message(self.ref, seen, outcome)
        except Exception as error:  # noqa: BLE001 - the asker is told, or it is reported
            if outcome is None:
                refusal = str(error) or type(error).__name__
            else:
                self.exchange.system.events.publish(HookFailed(self.ref, "after_message", error))
        finally:
            self.native.hook_done(details["token"], refusal)

    # Health.

    def _watch_health(self) -> None:
        settings = self.make.settings
        self._check = HealthCheck(
            self.exchange.system,
            self.ref,
            lambda _ref: self.health(settings.health_timeout),
            interval=settings.health_interval,
            timeout=settings.health_timeout * 2,
            unhealthy_after=settings.health_failures,
        )

    async def health(self, timeout: float) -> Health:
        """Ask the component how it is; `UNKNOWN` where it does not say or is busy."""
        if "lifecycle" not in self.native.exports or self.native.state != "running":
            return Health.UNKNOWN
        try:
            status, _detail = await self.native.health(timeout)
        except WaitTimeout:
            # Asked only between messages: a long one is judged by the timeout of its call.
            if self.native.inspect()["in_flight"]:
                return Health.UNKNOWN
            raise
        return Health(status)


def request_settler(
    request: ForeignRequest[Any],
) -> Callable[[asyncio.Future[bytes | None]], None]:
    """Return what hands the outcome of an ask over to the runtime's request."""

    def settle(outcome: asyncio.Future[bytes | None]) -> None:
        if outcome.cancelled():
            request.drop("cancelled")
            return
        error = outcome.exception()
        if request.done():
            return
        if isinstance(error, AskTimeout):
            request.expire()
        elif error is not None:
            request.refuse(error)
        else:
            payload = outcome.result()
            try:
                value = None if payload is None else decode_payload(payload)
            except Exception as undecodable:  # noqa: BLE001 - handed to the asker
                request.refuse(undecodable)
            else:
                request.answer(value)

    return settle
