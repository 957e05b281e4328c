"""Names for actors, apart from their place in the tree."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from airssys.rt._cell import ENDED
from airssys.rt.errors import NameTaken, RequestDropped, WaitTimeout
from airssys.rt.ref import LocalRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt._cell import Cell
    from airssys.rt.ref import Ref

__all__ = ["Membership", "Registry", "remember", "unremember"]


class Membership(Protocol):
    """Something that actors are listed in until they end."""

    def leave(self, cell: Cell) -> None:
        """Strike an ended actor off the list."""
        ...


def remember(ref: Ref[Any], membership: Membership) -> None:
    """Have `membership.leave` called when a local actor ends.

    Raises:
        RequestDropped: It has ended already.
    """
    if isinstance(ref, LocalRef):
        cell = ref._cell
        if cell.block & ENDED:
            raise RequestDropped(
                f"{ref.path} has ended and cannot be listed anywhere",
                path=ref.path,
                reason="no_actor",
            )
        more = cell.details()
        if more.memberships is None:
            more.memberships = []
        if membership not in more.memberships:
            more.memberships.append(membership)


def unremember(ref: Ref[Any], membership: Membership) -> None:
    """Undo `remember`."""
    if isinstance(ref, LocalRef):
        memberships = ref._cell.details().memberships
        if memberships is not None and membership in memberships:
            memberships.remove(membership)


class Registry:
    """Who goes by which name. A name is free again as soon as its actor has ended."""

    def __init__(self) -> None:
        self._names: dict[str, Ref[Any]] = {}
        self._awaited: dict[str, list[asyncio.Future[Ref[Any]]]] = {}
        #: Called with a name and its actor when it is registered, and with None when it is free.
        self.watchers: list[Callable[[str, Ref[Any] | None], None]] = []

    def register(self, name: str, ref: Ref[Any]) -> None:
        """Give an actor a name.

        Raises:
            NameTaken: A living actor has it.
        """
        holder = self._names.get(name)
        if holder is not None and holder.alive:
            raise NameTaken(f"{name!r} is the name of {holder.path} already", name=name)
        remember(ref, self)
        self._names[name] = ref
        self._tell(name, ref)
        for future in self._awaited.pop(name, ()):
            if not future.done():
                future.set_result(ref)

    def unregister(self, name: str) -> None:
        """Free a name."""
        ref = self._names.pop(name, None)
        if ref is not None:
            self._tell(name, None)
            if ref not in self._names.values():
                unremember(ref, self)

    def whereis(self, name: str) -> Ref[Any] | None:
        """The actor of that name, or None."""
        return self._names.get(name)

    async def wait_for(self, name: str, timeout: float = 5.0) -> Ref[Any]:
        """The actor of that name, as soon as there is one.

        Raises:
            WaitTimeout: There was none within `timeout` seconds.
        """
        found = self._names.get(name)
        if found is not None:
            return found
        future: asyncio.Future[Ref[Any]] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(name, [])
        waiting.append(future)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise WaitTimeout(
                f"no actor took the name {name!r} within {timeout} s", name=name
            ) from None
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting and self._awaited.get(name) is waiting:
                del self._awaited[name]

    def names(self) -> dict[str, Ref[Any]]:
        """All names."""
        return dict(self._names)

    def leave(self, cell: Cell) -> None:
        """An actor has ended: free its names."""
        for name in [name for name, ref in self._names.items() if ref is cell.ref]:
            del self._names[name]
            self._tell(name, None)

    def _tell(self, name: str, ref: Ref[Any] | None) -> None:
        for watcher in tuple(self.watchers):
            watcher(name, ref)
