"""The address of a component actor."""

# pyright: reportPrivateUsage=false
# The ref of a foreign cell looks into it.

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from airssys.rt import LocalRef
from airssys.rt._foreign import ForeignCell
from airssys.rt.ref import LocalThreadsafeRef

if TYPE_CHECKING:
    from airssys.rt import Health, Message, ThreadsafeRef
    from airssys.rt._cell import Cell
    from airssys.wasm.actors.place import Place

__all__ = ["ComponentRef"]

TargetT_co = TypeVar("TargetT_co", covariant=True)


class ComponentRef(LocalRef[TargetT_co]):
    """The address of a component actor; everything that any other `Ref` can do, and a little more.

    A message is any value that the deployment's codec can write, or a payload with its prefix as
    `bytes`. The reply to an ask is the value that the component's payload stands for.
    """

    __slots__ = ()

    cell_type: ClassVar[type[Cell]] = ForeignCell

    @property
    def place(self) -> Place:
        """The mailbox and the guest; internal to the framework."""
        return cast("Place", cast("ForeignCell", self._cell).outside)

    @property
    def address(self) -> str:
        """The name by which components reach it: `deployment`, or `deployment#key`."""
        return self.place.address

    @property
    def deployment(self) -> str:
        """The deployment that it belongs to."""
        return self.address.partition("#")[0]

    @property
    def key(self) -> str:
        """Which of the deployment's actors it is; empty for the main one."""
        return self.address.partition("#")[2]

    @property
    def threadsafe(self) -> ThreadsafeRef[TargetT_co]:
        """The way in from other threads; a tell goes straight to the mailbox."""
        return ComponentThreadsafeRef(self._cell)

    async def snapshot(self, timeout: float = 5.0) -> bytes:
        """Return the state as the component writes it, taken between messages.

        It is for looking: what a restart continues from is what `snapshot_every` and the end of an
        incarnation keep.

        Raises:
            NoSuchExport: The component does not export `airssys:core/state`.
            WaitTimeout: It did not come to it within `timeout` seconds.
        """
        return await self.place.native.snapshot(timeout)

    async def health(self, timeout: float = 1.0) -> Health:
        """Ask the component how it is, between messages; `UNKNOWN` where it is busy."""
        return await self.place.health(timeout)


class ComponentThreadsafeRef(LocalThreadsafeRef[TargetT_co]):
    """The way to a component actor from any thread."""

    __slots__ = ()

    def tell(self, message: Message[TargetT_co]) -> None:
        """Queue a message in the component's mailbox; raises `MailboxFull` when it has no room."""
        place = cast("Place", cast("ForeignCell", self._cell).outside)
        place.native.tell(place.encode(message))
