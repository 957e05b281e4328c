"""One line that a guest logged, and its form in a file."""

from __future__ import annotations

import dataclasses
import logging
from typing import Final, Literal

import msgspec

__all__ = ["LEVELS", "TRACE", "LogLevel", "LogLine"]

LogLevel = Literal["trace", "debug", "info", "warning", "error"]

#: Below `logging.DEBUG`, where Python has no level of its own.
TRACE: Final = 5

#: The levels of guests as levels of `logging`.
LEVELS: Final[dict[LogLevel, int]] = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line that a guest logged, or wrote to its standard output or error.

    Attributes:
        at: Seconds since 1970.
        level: `trace`, `debug`, `info`, `warning` or `error`; `info` for standard output, `warning`
            for standard error.
        message: The text.
        fields: What the guest added, by name.
        stream: `log`, `stdout` or `stderr`.
        deployment: The deployment; its first segment is the namespace.
        key: The actor's key; empty for the main one and for calls.
        revision: The revision that ran.
        trace_id: The trace that the guest's call was part of, or an empty string.
        lost: Lines before this one that were dropped because the guest wrote faster than its rate.
    """

    at: float
    level: LogLevel
    message: str
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    stream: Literal["log", "stdout", "stderr"] = "log"
    deployment: str
    key: str = ""
    revision: int = 0
    trace_id: str = ""
    lost: int = 0

    @property
    def namespace(self) -> str:
        """The first segment of the deployment's name."""
        return self.deployment.partition("/")[0]

    @property
    def severity(self) -> int:
        """The level as `logging` counts."""
        return LEVELS[self.level]

    def encode(self) -> bytes:
        """Return the line as JSON with a line feed."""
        return _encoder.encode(self) + b"\n"

    @staticmethod
    def decode(line: bytes) -> LogLine:
        """Return what `encode` made a line of.

        Raises:
            ValueError: It is not such a line.
        """
        return _decoder.decode(line)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(LogLine)
