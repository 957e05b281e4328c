"""The root of every exception that AirsSys raises on purpose."""

from __future__ import annotations

from typing import Any

__all__ = ["AirsSysError"]


class AirsSysError(Exception):
    """A failure with a stable code and the facts it rests on.

    Attributes:
        message: One sentence that names the offending thing, what was expected and the next step.
        code: Stable kebab-case name of the kind of failure, for programs.
        context: The facts by name, for logs and `--json` output.
    """

    #: The code used when a subclass does not pass its own.
    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.context = context

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole, whatever the constructor asks for."""
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(cls: type[AirsSysError], args: tuple[Any, ...], state: dict[str, Any]) -> AirsSysError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error
