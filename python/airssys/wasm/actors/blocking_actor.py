"""A component actor for programs without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airssys.rt import Inspection, Reason
    from airssys.wasm.actors.host_actors import HostActors
    from airssys.wasm.actors.ref import ComponentRef

__all__ = ["BlockingActor"]


class BlockingActor:
    """The address of a component actor where every method blocks. Safe to use from any thread."""

    __slots__ = ("_actors", "_ref")

    def __init__(self, actors: HostActors, ref: ComponentRef[Any]) -> None:
        self._actors = actors
        self._ref = ref

    def __repr__(self) -> str:
        return f"<BlockingActor {self.address}>"

    @property
    def address(self) -> str:
        """The name by which components reach it: `deployment`, or `deployment#key`."""
        return self._ref.address

    @property
    def alive(self) -> bool:
        """Whether the address takes messages."""
        return self._ref.alive

    def tell(self, message: Any) -> None:
        """Queue a message and return at once.

        Raises:
            MailboxFull: The mailbox has no room.
        """
        self._ref.threadsafe.tell(message)

    def ask(self, message: Any, timeout: float = 5.0) -> Any:
        """Ask and wait for the reply.

        Args:
            message: A value that the deployment's codec can write, or a payload.
            timeout: Seconds for waiting, queue and handling together.

        Raises:
            AskTimeout: No reply in time.
            ActorFailed: The component failed.
            GuestRefused: It refused the request.
            RequestDropped: The request became a dead letter.
        """
        return self._ref.place.ask_blocking(message, timeout)

    def stop(self, *, timeout: float | None = None, drain: bool = False) -> Reason:
        """Stop it for good and wait for its end; see `Ref.stop`."""

        async def stop() -> Reason:
            return await self._ref.stop(timeout=timeout, drain=drain)

        return self._actors.run(stop())

    def kill(self) -> Reason:
        """End its incarnation without hooks; see `Ref.kill`."""

        async def kill() -> Reason:
            return await self._ref.kill()

        return self._actors.run(kill())

    def inspect(self) -> Inspection:
        """Return everything there is to see of it, without its help."""
        return self._actors.system.inspect(self._ref)
