"""What a program may do at the turns of a component actor's life."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airssys.rt import Reason
    from airssys.wasm.actors.ref import ComponentRef

__all__ = ["Hooks", "MessageSeen"]


@dataclasses.dataclass(frozen=True, slots=True)
class MessageSeen:
    """A message as hooks see it.

    Attributes:
        payload: Its bytes, with the codec's prefix.
        sender: The address of who sent it; empty for the application.
        topic: The topic that it was published under, or None.
        asked: Whether somebody waits for a reply.
    """

    payload: bytes
    sender: str
    topic: str | None
    asked: bool


class Hooks:
    """Called around each turn of the life of a deployment's actors; override what you need.

    Each is awaited on the loop of the actor system, and the turn waits for it, within the time that
    the turn has. What `before_start` raises fails the start. What the others raise becomes an event
    `HookFailed`, and life goes on. Nothing is called for an actor that is killed.

    Messages between components never enter Python, so nothing is called for them unless a
    deployment asks for it with `message_hooks`.
    """

    @property
    def given(self) -> bool:
        """Whether anything is overridden: where nothing is, life goes on without a look."""
        return self.__class__ is not Hooks

    async def before_start(self, ref: ComponentRef[Any]) -> None:
        """Called before an instance is made, at the first start and at each restart."""

    async def after_start(self, ref: ComponentRef[Any]) -> None:
        """Called when the instance runs, before its first message."""

    async def before_stop(self, ref: ComponentRef[Any], reason: Reason) -> None:
        """Called before `shutdown` of an instance that has not failed."""

    async def after_stop(self, ref: ComponentRef[Any], reason: Reason) -> None:
        """Called when the instance has gone."""

    async def on_error(self, ref: ComponentRef[Any], error: BaseException, message: object) -> None:
        """Called first after the component failed on `message`, which is a payload or None."""

    async def before_message(self, ref: ComponentRef[Any], message: MessageSeen) -> None:
        """Called before the guest gets a message, where `ActorSettings.message_hooks` asks for it.

        What it raises refuses the message: it dies `rejected`, and whoever asked is told why.
        """

    async def after_message(
        self, ref: ComponentRef[Any], message: MessageSeen, outcome: str
    ) -> None:
        """Called when the guest is done with a message, before the next one.

        Args:
            ref: The actor.
            message: What was handled.
            outcome: `handled`, or the reason of its dead letter.
        """

    async def before_restart(self, ref: ComponentRef[Any], reason: Reason) -> None:
        """Called when an instance has gone and another will follow."""

    async def after_restart(self, ref: ComponentRef[Any]) -> None:
        """Called when the new instance runs, after `after_start`."""
