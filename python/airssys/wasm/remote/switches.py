"""The switches of a host in another process, in both forms: one request each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airssys.wasm.remote import operations
from airssys.wasm.remote.wire import ChangeRequest, CollectRequest, CollectResult

if TYPE_CHECKING:
    import os

    from airssys.wasm.delivery.locks import Lock
    from airssys.wasm.remote.awaited_client import AwaitedClient
    from airssys.wasm.remote.blocking_client import BlockingClient
    from airssys.wasm.remote.request import Request
    from airssys.wasm.revision_search import FoundRevision, RevisionQuery

__all__ = ["BlockingSwitches", "Switches"]


class Switches:
    """What `Host` has to switch, awaited."""

    _blocking: BlockingClient
    _client: AwaitedClient

    async def freeze(self, *, why: str = "", who: str | None = None) -> None:
        """Refuse every deploy, rollback and removal until `thaw`; see `Host.freeze`."""
        await self._client.send(_switch("freeze", who, why))

    async def thaw(self, *, why: str = "", who: str | None = None) -> None:
        """Take deploys, rollbacks and removals again."""
        await self._client.send(_switch("thaw", who, why))

    async def lock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Refuse to change one deployment until `unlock`; see `Host.lock`."""
        await self._client.send(_switch("lock", who, why, name))

    async def unlock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Take changes of a deployment again."""
        await self._client.send(_switch("unlock", who, why, name))

    async def locks(self) -> tuple[Lock, ...]:
        """Return the locks there are: who set them, when and why."""
        found: tuple[Lock, ...] = await self._client.send(operations.locks())
        return found

    async def kill_all(self, *, why: str = "", who: str | None = None) -> None:
        """Stop every guest now and run none until `revive`; see `Host.kill_all`."""
        await self._client.send(_switch("kill-all", who, why))

    async def revive(self, *, why: str = "", who: str | None = None) -> None:
        """Run the guests again that `kill_all` stopped."""
        await self._client.send(_switch("revive", who, why))

    async def collect(
        self, *, keep: int = 10, keep_for: float = 0.0, who: str | None = None
    ) -> int:
        """Delete the components of old revisions; see `Host.collect`."""
        found: CollectResult = await self._client.send(_collect(keep, keep_for, who))
        return found.freed

    async def find_revisions(self, query: RevisionQuery | str = "") -> tuple[FoundRevision, ...]:
        """Return the revisions that a query is about; see `Host.find_revisions`."""
        found: tuple[FoundRevision, ...] = await self._client.send(_find(query))
        return found

    async def backup(self, path: str | os.PathLike[str]) -> int:
        """Write a backup of the server's state directory to a new file of this machine.

        Args:
            path: The file, which must not exist. It appears once it is whole and durable.

        Returns:
            Bytes of it.
        """
        import asyncio  # noqa: PLC0415 - the blocking form needs no event loop

        return await asyncio.to_thread(save_backup, self._blocking, path)


class BlockingSwitches:
    """What `BlockingHost` has to switch."""

    _blocking: BlockingClient

    def freeze(self, *, why: str = "", who: str | None = None) -> None:
        """Refuse every deploy, rollback and removal until `thaw`; see `Host.freeze`."""
        self._blocking.send(_switch("freeze", who, why))

    def thaw(self, *, why: str = "", who: str | None = None) -> None:
        """Take deploys, rollbacks and removals again."""
        self._blocking.send(_switch("thaw", who, why))

    def lock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Refuse to change one deployment until `unlock`; see `Host.lock`."""
        self._blocking.send(_switch("lock", who, why, name))

    def unlock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Take changes of a deployment again."""
        self._blocking.send(_switch("unlock", who, why, name))

    def locks(self) -> tuple[Lock, ...]:
        """Return the locks there are: who set them, when and why."""
        found: tuple[Lock, ...] = self._blocking.send(operations.locks())
        return found

    def kill_all(self, *, why: str = "", who: str | None = None) -> None:
        """Stop every guest now and run none until `revive`; see `Host.kill_all`."""
        self._blocking.send(_switch("kill-all", who, why))

    def revive(self, *, why: str = "", who: str | None = None) -> None:
        """Run the guests again that `kill_all` stopped."""
        self._blocking.send(_switch("revive", who, why))

    def collect(self, *, keep: int = 10, keep_for: float = 0.0, who: str | None = None) -> int:
        """Delete the components of old revisions; see `Host.collect`."""
        found: CollectResult = self._blocking.send(_collect(keep, keep_for, who))
        return found.freed

    def find_revisions(self, query: RevisionQuery | str = "") -> tuple[FoundRevision, ...]:
        """Return the revisions that a query is about; see `Host.find_revisions`."""
        found: tuple[FoundRevision, ...] = self._blocking.send(_find(query))
        return found

    def backup(self, path: str | os.PathLike[str]) -> int:
        """Write a backup of the server's state directory; see `Switches.backup`."""
        return save_backup(self._blocking, path)


def save_backup(client: BlockingClient, path: str | os.PathLike[str]) -> int:
    """Have a server write a backup, and keep it in a new file; return its bytes."""
    from airssys.wasm.backup.make import new_file  # noqa: PLC0415 - most clients never need it

    with new_file(Path(path)) as file:
        return client.save(operations.backup(), file)


def _switch(verb: str, who: str | None, why: str, name: str | None = None) -> Request:
    return operations.switch(verb, ChangeRequest(who=who, why=why), name)


def _collect(keep: int, keep_for: float, who: str | None) -> Request:
    return operations.collect(CollectRequest(keep=keep, keep_for=keep_for, who=who))


def _find(query: RevisionQuery | str) -> Request:
    from airssys.wasm.revision_search import RevisionQuery  # noqa: PLC0415 - few need it

    return operations.find_revisions(RevisionQuery(text=query) if isinstance(query, str) else query)
