"""What can go wrong on the way from source to component."""

from __future__ import annotations

from airssys.errors import AirsSysError

__all__ = [
    "AuthoringError",
    "BuildFailed",
    "NoProject",
    "NotOffered",
    "NotWritten",
    "ToolchainMissing",
    "WitError",
]


class AuthoringError(AirsSysError):
    """Something between source and component failed.

    Attributes:
        summary: What is wrong, without the next step.
        hint: The next step, or an empty string where there is none to give.
    """

    default_code = "authoring"

    def __init__(
        self, summary: str, *, hint: str = "", code: str | None = None, **context: object
    ) -> None:
        super().__init__(f"{summary}; {hint}" if hint else summary, code=code, **context)
        self.summary = summary
        self.hint = hint


class NoProject(AuthoringError):
    """There is no `Component.toml` here, or it lacks what is needed of it."""

    default_code = "no-project"


class NotWritten(AuthoringError):
    """A project cannot be written where it was asked for."""

    default_code = "not-written"


class NotOffered(NotWritten):
    """There is no such template or language; the hint names those that there are."""

    default_code = "not-offered"


class ToolchainMissing(AuthoringError):
    """What compiles a language is missing, too old or broken; the hint says how to get it."""

    default_code = "toolchain-missing"


class BuildFailed(AuthoringError):
    """A compiler refused the source; its own words are the notes of the error."""

    default_code = "build-failed"


class WitError(AuthoringError):
    """A WIT file cannot be used; the message begins with `file:line:column` where it is known."""

    default_code = "wit-invalid"
