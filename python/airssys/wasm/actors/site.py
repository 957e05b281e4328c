"""Where component actors of one address live, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.wasm.actors.place import Place

if TYPE_CHECKING:
    from airssys.rt._foreign import ForeignCell
    from airssys.wasm._native import _core
    from airssys.wasm.actors.exchange import Exchange
    from airssys.wasm.actors.make import Make
    from airssys.wasm.actors.snapshots import Snapshots

__all__ = ["Site"]


class Site:
    """One address of the message plane, and what lives there is made of.

    Args:
        exchange: The way between the actor system and the message plane.
        address: `deployment` or `deployment#key`.
        make: What incarnations are made of.
        snapshots: Where the state is kept between incarnations; None keeps none.

    Attributes:
        place: The one that lives here now, or lived here last.
    """

    def __init__(
        self, exchange: Exchange, address: str, make: Make, snapshots: Snapshots | None = None
    ) -> None:
        self.exchange = exchange
        self.address = address
        self.make = make
        self.snapshots = snapshots
        self.place: Place | None = None

    def attach(self, cell: ForeignCell) -> Place:
        """Take the address on the message plane; the mailbox is there from now on.

        Raises:
            NameTaken: A component actor of this address lives.
        """
        place = self.place = Place(self, cell)
        self.exchange.places[self.address] = place
        return place

    def spawn(self) -> _core.ComponentActor:
        """Make the mailbox on the message plane."""
        make, settings = self.make, self.make.settings
        return self.exchange.plane.spawn(
            self.address,
            make.component,
            gate=make.rights,
            **make.parts,
            capacity=settings.mailbox,
            capacity_bytes=int(settings.mailbox_bytes),
            overflow=settings.on_overflow,
            message_size=int(settings.message_size),
        )

    def upgrade(self, make: Make) -> None:
        """Make further incarnations of this; the one that lives goes on until it is restarted."""
        self.make = make
        if self.place is not None and self.place.ref.alive:
            self.place.native.upgrade(make.component, **make.parts)
            self.place.native.regrant(make.rights)
