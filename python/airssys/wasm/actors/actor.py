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

    def failed(self, error: BaseException, message: object) -> Any:
        """Tell the hooks what it failed on."""
        place = self._place
        hooks = place.make.hooks
        return hooks.on_error(place.ref, error, message) if hooks.given else None

    def stopped(self, reason: Reason) -> Any:
        """End the instance."""
        place, final = self._place, self._cell.details().final
        return None if place.gone(reason) else place.stop(reason, final=final)

    def snapshot(self) -> Any:
        """Return nothing: the place knows the state that was kept last."""
        return None
