"""What can go wrong with scripts."""

from __future__ import annotations

from airssys.errors import AirsSysError
from airssys.wasm.host_errors import HostError

__all__ = ["LoaderMissing", "ScriptError"]


class LoaderMissing(HostError):
    """The component that runs scripts of a language is not on this machine."""

    default_code = "loader-missing"


class ScriptError(AirsSysError):
    """A script raised, or cannot be run; what it says of the place is a note.

    Attributes:
        file: The script.
        line: Its line, from 1; 0 where there is none to tell.
        kind: The class of what was raised; `arguments` where a function was called otherwise than
            it is declared, `result` where it returned what JSON has not.
        trace: Where it came from, as the language of the script tells it.
    """

    default_code = "script-failed"

    def __init__(self, file: str, line: int, kind: str, text: str, trace: str = "") -> None:
        where = f"{file}:{line}" if line else file
        what = text if kind in {"arguments", "result"} else f"{kind}: {text}" if text else kind
        super().__init__(f"{where}: {what}", file=file, line=line, kind=kind)
        self.file = file
        self.line = line
        self.kind = kind
        self.trace = trace
        if trace:
            self.add_note(trace)
