"""What people see of a host in another process, and answer: rights, trust, the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airssys.osl.audit_log import Record
from airssys.wasm.remote import operations
from airssys.wasm.remote.wire import (
    Answer,
    BlockResult,
    TrustFloorRequest,
    TrustKeyRequest,
    TrustRevokeRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airssys.osl.operation import Permission
    from airssys.wasm.remote.blocking_client import BlockingClient
    from airssys.wasm.remote.wire import Explanation, KeptActors, TrustState
    from airssys.wasm.security.approval_records import PendingApproval
    from airssys.wasm.trust import PublicKey

__all__ = ["ConnectedTrust", "Oversight"]


class Oversight:
    """Approvals, trust, the audit log and what is on record, each one short request."""

    _blocking: BlockingClient

    def kept_actors(self) -> tuple[KeptActors, ...]:
        """Return what is kept of the actors of each deployment that has actors, by name."""
        found: tuple[KeptActors, ...] = self._blocking.send(operations.kept_actors())
        return found

    def explain(self, name: str, wanted: Permission, *, address: str | None = None) -> Explanation:
        """Say how an access of a deployment would be decided; nothing is done or recorded.

        Args:
            name: The deployment.
            wanted: The access; a path is the one that the component sees.
            address: What a host name leads to.

        Raises:
            UnknownDeployment: There is none of this name.
            InvalidRequest: It is no access.
        """
        found: Explanation = self._blocking.send(operations.explain(name, wanted, address))
        return found

    def approvals(self) -> tuple[PendingApproval, ...]:
        """Return the accesses that wait for a person, the oldest first."""
        found: tuple[PendingApproval, ...] = self._blocking.send(operations.approvals())
        return found

    def answer(
        self, number: int, answer: Literal["approve", "deny"], *, why: str = ""
    ) -> PendingApproval:
        """Allow or refuse an access that waits; the first answer counts.

        Raises:
            UnknownApproval: No question of this number waits.
            RoleNeeded: Who asks may not approve.
        """
        request = operations.answer(number, answer, Answer(why=why))
        found: PendingApproval = self._blocking.send(request)
        return found

    @property
    def trust(self) -> ConnectedTrust:
        """Whose signatures count, and what is blocked."""
        return ConnectedTrust(self._blocking)

    def audit(self, *, follow: bool = False, **wanted: Any) -> Iterator[Record]:
        """Yield records of the audit log, the oldest first.

        Args:
            follow: Go on with what is recorded from now on, until the server ends.
            wanted: As for `airssys.osl.audit_log.read_records`.

        Raises:
            ServerUnreachable: There is no server, or it went away.
        """
        for line in self._blocking.lines(operations.audit(follow=follow, **wanted)):
            if line:  # an empty one says that the server is there
                yield Record.parse(line.encode())

    def verify_audit(self) -> dict[str, Any]:
        """Have the server check its audit log, with the key beside it; return what it found.

        Raises:
            OslError: The log is damaged.
        """
        found: dict[str, Any] = self._blocking.send(operations.verify_audit())
        return found


class ConnectedTrust:
    """Whose signatures count for a host in another process; as a `TrustStore`.

    Each change needs the role `approve`.
    """

    def __init__(self, client: BlockingClient) -> None:
        self._client = client

    def state(self) -> TrustState:
        """Return the keys, what is blocked, and the lowest versions."""
        found: TrustState = self._client.send(operations.trust())
        return found

    def trust(self, key: PublicKey, names: Sequence[str], *, comment: str = "") -> None:
        """Let the signatures of a key count for names; see `TrustStore.trust`."""
        what = TrustKeyRequest(key=str(key), names=tuple(names), comment=comment)
        self._client.send(operations.change_trust("add", what))

    def set_floor(self, name: str, version: str) -> None:
        """Let a name have no version below this one; see `TrustStore.set_floor`."""
        what = TrustFloorRequest(name=name, version=version)
        self._client.send(operations.change_trust("floor", what))

    def revoke(self, key: str, why: str) -> None:
        """Let no signature of a key count any more; see `TrustStore.revoke`."""
        what = TrustRevokeRequest(key=key, why=why)
        self._client.send(operations.change_trust("revoke", what))

    def block(self, component: bytes, why: str) -> str:
        """Let a component not run, whoever signed it; see `TrustStore.block`."""
        found: BlockResult = self._client.send(operations.block(component, why))
        return found.digest
