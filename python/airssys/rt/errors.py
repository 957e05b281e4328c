"""What the actor runtime raises. Every class here is an `AirsSysError` but the signal `Refuse`."""

from __future__ import annotations

from airssys.errors import AirsSysError

__all__ = [
    "ActorFailed",
    "AskTimeout",
    "BreakerOpen",
    "ForkedSystem",
    "InvalidHandler",
    "InvalidSpec",
    "LinkBroken",
    "MailboxFull",
    "NameTaken",
    "NoCurrentActor",
    "Refuse",
    "RequestDropped",
    "RestartLimit",
    "RuntimeFailure",
    "SendTimeout",
    "SpawnFailed",
    "StashFull",
    "SystemStopped",
    "WaitCycle",
    "WaitTimeout",
    "WrongThread",
]


class RuntimeFailure(AirsSysError):
    """Any failure of the actor runtime."""

    default_code = "runtime"


class MailboxFull(RuntimeFailure):
    """The lane of the mailbox has no room; the message was not accepted."""

    default_code = "mailbox-full"


class SendTimeout(MailboxFull):
    """`send` found no room before its timeout; the message was not accepted."""

    default_code = "send-timeout"


class AskTimeout(RuntimeFailure, TimeoutError):
    """No reply came before the deadline. A reply that comes later is counted and dropped."""

    default_code = "ask-timeout"


class WaitTimeout(RuntimeFailure, TimeoutError):
    """What was waited for (a name, a start, a stop) did not come in time."""

    default_code = "wait-timeout"


class ActorFailed(RuntimeFailure):
    """The handler of the request raised; `__cause__` is what it raised."""

    default_code = "actor-failed"


class RequestDropped(RuntimeFailure):
    """The request became a dead letter and will never be answered.

    `context["reason"]` is the reason of the dead letter.
    """

    default_code = "request-dropped"


class WaitCycle(RuntimeFailure):
    """Waiting here would close a cycle of actors that wait for each other, and never end."""

    default_code = "wait-cycle"


class WrongThread(RuntimeFailure):
    """The system belongs to another thread; use `ref.threadsafe`."""

    default_code = "wrong-thread"


class ForkedSystem(RuntimeFailure):
    """This process is a fork; the actor system lives in its parent only."""

    default_code = "forked-system"


class SystemStopped(RuntimeFailure):
    """The actor system has shut down or its event loop was closed."""

    default_code = "system-stopped"


class SpawnFailed(RuntimeFailure):
    """The actor did not start; `__cause__` says why. Nothing was left behind."""

    default_code = "spawn-failed"


class NameTaken(RuntimeFailure):
    """The name belongs to a living actor."""

    default_code = "name-taken"


class InvalidHandler(RuntimeFailure, TypeError):
    """A method marked `@handles` does not say which message it takes."""

    default_code = "invalid-handler"


class InvalidSpec(RuntimeFailure, ValueError):
    """A specification of actors or supervisors is wrong."""

    default_code = "invalid-spec"


class StashFull(RuntimeFailure):
    """The stash has reached its bound."""

    default_code = "stash-full"


class NoCurrentActor(RuntimeFailure):
    """The operation only makes sense inside an actor."""

    default_code = "no-current-actor"


class RestartLimit(RuntimeFailure):
    """A supervisor gave up: too many restarts. `__cause__` is the last failure."""

    default_code = "restart-limit"


class LinkBroken(RuntimeFailure):
    """A linked actor ended abnormally."""

    default_code = "link-broken"


class BreakerOpen(RuntimeFailure):
    """The circuit breaker is open; the call was not made."""

    default_code = "breaker-open"


class Refuse(Exception):
    """Raise in a handler to fail only the ask, with `error`, and to live on.

    Args:
        error: What the asker gets raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error
