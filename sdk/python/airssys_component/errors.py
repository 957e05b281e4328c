"""What a component raises, and what it may have to catch."""

from __future__ import annotations

__all__ = ["ComponentError", "Delivery", "Refused", "Unavailable"]


class ComponentError(Exception):
    """The root of every exception of this package."""


class Refused(ComponentError):
    """Raise it to refuse a request: whoever asked gets the reason, and the component goes on."""


class Unavailable(ComponentError):
    """The world of the component does not import what this needs; the message names it."""


class Delivery(ComponentError):
    """A message did not arrive, or an ask has no answer.

    Attributes:
        reason: Why, as WIT names it: `no-actor`, `timeout`, `mailbox-full`, `not-permitted`, …
        detail: More about it, or None.
    """

    def __init__(self, reason: str, detail: object = None) -> None:
        super().__init__(reason if detail is None else f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
