"""The standard library's logging, bridged to the log of the host."""

from __future__ import annotations

import logging

from airssys_component.errors import Unavailable
from airssys_component.world import imported, types

__all__ = ["HostHandler", "bridge_logging"]

_LEVELS = (
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARNING"),
    (logging.INFO, "INFO"),
    (logging.DEBUG, "DEBUG"),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class HostHandler(logging.Handler):
    """Writes records to the host's log; what `extra` adds becomes fields of the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        levels = types().LogLevel
        names = (name for least, name in _LEVELS if record.levelno >= least)
        level = getattr(levels, next(names, "TRACE"))
        fields = [
            (name, str(value)) for name, value in vars(record).items() if name not in _STANDARD
        ]
        if record.name != "root":
            fields.append(("logger", record.name))
        imported("host", "airssys:core/host").log(level, self.format(record), fields)


def bridge_logging() -> None:
    """Let what is logged go to the host, where the world imports `airssys:core/host`."""
    try:
        imported("host", "airssys:core/host")
    except Unavailable:
        return
    logging.basicConfig(handlers=[HostHandler()], level=logging.NOTSET, format="%(message)s")
