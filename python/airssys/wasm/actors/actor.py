"""The actor that stands for a component in the tree of actors."""

# pyright: reportPrivateUsage=false
# The actor of a foreign cell looks into it.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airssys.rt import Actor

if TYPE_CHECKING:
    from airssys.rt import Reason
    from airssys.rt._foreign import ForeignCell
    from airssys.wasm.actors.place import Place
    from airssys.wasm.actors.site import Site

__all__ = ["ComponentActor"]


class ComponentActor(Actor):
    """One incarnation of a component actor. Messages never come here; turns of its life do.

    Args:
        site: Where it lives; its cell has made a place there.
    """

    __slots__ = ()

    def __init__(self, site: Site) -> None:
        """Make nothing yet: the runtime is there from `started` on."""

    @property
    def _place(self) -> Place:
        return cast("Place", cast("ForeignCell", self._cell).outside)

    async def started(self) -> None:
        """Make the instance."""
        await self._place.start()

    async def failed(self, error: BaseException, message: object) -> None:
        """Tell the hooks what it failed on."""
        place = self._place
        await place.make.hooks.on_error(place.ref, error, message)

    async def stopped(self, reason: Reason) -> None:
        """End the instance."""
        await self._place.stop(reason, final=self._cell.details().final)

    def snapshot(self) -> Any:
        """Return nothing: the place knows the state that was kept last."""
        return None
