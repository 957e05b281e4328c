"""What both kinds of client know of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airssys.wasm.remote.errors import ServerUnreachable

if TYPE_CHECKING:
    from airssys.wasm.remote.address import Address

__all__ = ["IDLE", "MOST_HEAD", "unreachable"]

#: Seconds after which an idle connection is not used any more; the server keeps it longer.
IDLE: Final = 30.0
#: Bytes of the longest line that is read of a head.
MOST_HEAD: Final = 64 * 1024


def unreachable(address: Address, error: BaseException, *, sent: bool) -> ServerUnreachable:
    """Return the one error for a server that is not there, or not any more.

    Args:
        address: Of the server.
        error: What came of it.
        sent: Whether a request had been sent, which may have been carried out.
    """
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if sent:
        return ServerUnreachable(
            f"the server at {address} went away before it answered ({reason})",
            hint="whether it did what it was asked for is not known; look, and try again",
            address=str(address),
        )
    return ServerUnreachable(
        f"no server answers at {address} ({reason})",
        hint="`airssys serve` starts one",
        address=str(address),
    )
