"""Word of limits that are nearly used up, or were reached: to the log, and to who listens."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm._native import _core

__all__ = ["LimitNotice", "Reports"]

_log: Final = logging.getLogger("airssys.wasm.limits")
#: Seconds after which a thread that waits looks whether the interpreter is still there.
_PATIENCE: Final = 3600.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LimitNotice:
    """Something about a limit.

    Attributes:
        kind: `near`, four fifths are used, told once until well below again; or `reached`,
            something was refused or ended, told at most once a second.
        limit: The limit: a field of `Limits` or of `Ceilings`.
        configured: What it is set to: bytes, seconds or a count.
        owner: Whose limit it is: `deployment image/resizer`, `namespace image` or `host`.
        by: Who came near to it or met it: `deployment image/resizer`.
        times: How often since the last notice.
    """

    kind: Literal["near", "reached"]
    limit: str
    configured: float
    owner: str
    by: str
    times: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        value = f"{self.configured:.15g}"
        if self.kind == "near":
            return f"{self.owner} uses four fifths of '{self.limit}', {value} ({self.by})"
        return f"{self.by} met '{self.limit}' of {self.owner}, {value}: {self.times} times"


class Reports:
    """Passes the notices of a host on, on a thread of its own that starts with the first listener.

    Args:
        account: The account of the host.
    """

    def __init__(self, account: _core.Account) -> None:
        self._account = account
        self._listeners: tuple[Callable[[LimitNotice], object], ...] = ()
        self._thread = threading.Thread(
            target=_pass_on, args=(account, self._tell), name="airssys-limits", daemon=True
        )
        self._thread.start()

    def listen(self, listener: Callable[[LimitNotice], object]) -> Callable[[], None]:
        """Call `listener` with each notice from now on, on the thread of these reports.

        Returns:
            What ends it.
        """
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

        return end

    def _tell(self, notice: LimitNotice) -> None:
        _log.warning("%s", notice, extra={"limit_notice": notice})
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception:  # noqa: BLE001 - reported; the others are told all the same
                _log.exception("a listener for limits failed")

    def close(self) -> None:
        """Pass on what waits, and end."""
        self._account.close()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _pass_on(account: _core.Account, tell: Callable[[LimitNotice], None]) -> None:
    while (taken := account.notices(_PATIENCE)) is not None:
        notices, lost = taken
        if lost:
            _log.warning("%d notices of limits were lost: too many waited", lost)
        for kind, limit, configured, owner, by, times in notices:
            tell(
                LimitNotice(
                    kind=kind,
                    limit=limit,
                    configured=configured,
                    owner=owner,
                    by=by,
                    times=times,
                )
            )
