"""What comes back from the message plane when something fails, as exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airssys.rt import (
    ActorFailed,
    AskTimeout,
    MailboxFull,
    NameTaken,
    RequestDropped,
    RuntimeFailure,
    SendTimeout,
    SystemStopped,
    WaitCycle,
    WaitTimeout,
)
from airssys.wasm.codecs import PREFIXES, CodecMismatch, PayloadTooLarge, UnknownCodec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ComponentFailed",
    "GuestRefused",
    "InvalidActorState",
    "NoSuchExport",
    "NotPermitted",
    "StartFailed",
    "failure",
]


class GuestRefused(RuntimeFailure):
    """The component refused the request and goes on; `context["reason"]` is what it said."""

    default_code = "refused"


class StartFailed(RuntimeFailure):
    """A component actor did not start; `__cause__` says why."""

    default_code = "start-failed"


class NoSuchExport(RuntimeFailure):
    """The component does not export the interface that this needs."""

    default_code = "no-export"


class NotPermitted(RuntimeFailure):
    """The sender has no right to reach this target."""

    default_code = "not-permitted"


class ComponentFailed(RuntimeFailure):
    """The component said that it is broken: it returned `failed`."""

    default_code = "component-failed"


class InvalidActorState(RuntimeFailure):
    """The actor's state does not allow the command."""

    default_code = "invalid-state"


_CODEC_NAMES = {number: name for name, number in PREFIXES.items()}

_KINDS: dict[str, type[RuntimeFailure]] = {
    "name-taken": NameTaken,
    "mailbox-full": MailboxFull,
    "send-timeout": SendTimeout,
    "ask-timeout": AskTimeout,
    "wait-cycle": WaitCycle,
    "failed": ActorFailed,
    "refused": GuestRefused,
    "dropped": RequestDropped,
    "start-failed": StartFailed,
    "no-export": NoSuchExport,
    "not-permitted": NotPermitted,
    "closed": SystemStopped,
    "state": InvalidActorState,
    "timeout": WaitTimeout,
}

#: Failures that are a message's end; the reason of its dead letter.
_ENDS = {"no-actor": "no_actor", "stopped": "stopped", "killed": "killed"}


def failure(code: str, message: str, context: dict[str, Any]) -> BaseException:
    """Return the exception for a failure of the message plane."""
    special = _SPECIAL.get(code)
    if special is not None:
        return special(message, context)
    if code in _ENDS:
        return RequestDropped(message, **{**context, "reason": _ENDS[code]})
    cause = context.pop("cause", None)
    error = _KINDS.get(code, RuntimeFailure)(message, **context)
    if isinstance(cause, BaseException):
        error.__cause__ = cause
    return error


def codec_name(number: int) -> str:
    """Return what a codec is called, or its number."""
    return _CODEC_NAMES.get(number, f"{number:#x}")


def _mismatch(_message: str, context: dict[str, Any]) -> BaseException:
    offered = [codec_name(cast("int", context["sent"]))]
    accepted = [codec_name(number) for number in cast("list[int]", context["accepted"])]
    return CodecMismatch(
        f"the receiver accepts {', '.join(accepted)} and the message is in {offered[0]}; send one "
        "that it accepts, or let the deployment accept more",
        offered=offered,
        accepted=accepted,
    )


def _invalid(message: str, _context: dict[str, Any]) -> BaseException:
    return UnknownCodec(
        f"{message}; write payloads with airssys.wasm.codecs.encode(value, codec)",
        wanted=None,
        known=list(PREFIXES),
    )


def _too_large(_message: str, context: dict[str, Any]) -> BaseException:
    size, most = cast("int", context["size"]), cast("int", context["limit"])
    return PayloadTooLarge(
        f"the payload has {size} bytes, a message to this actor at most {most}; send less, or "
        "raise `message_size`",
        size=size,
        most=most,
    )


_SPECIAL: dict[str, Callable[[str, dict[str, Any]], BaseException]] = {
    "codec-mismatch": _mismatch,
    "invalid-payload": _invalid,
    "too-large": _too_large,
}
