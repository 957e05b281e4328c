"""What the exit code of `airssys` says."""

from __future__ import annotations

import enum
from typing import Final

from airssys.errors import AirsSysError

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """The exit codes of every command; `airssys run` passes on the guest's own besides."""

    SUCCESS = 0
    FAILURE = 1
    """The operation was refused or failed; the message says why."""
    USAGE = 2
    """The command line or the configuration is wrong."""
    NOT_FOUND = 3
    """There is no deployment, revision, function or file of that name."""
    STATE = 4
    """The state directory cannot be used: in use, full, not writable, damaged, too new."""
    GUEST = 5
    """The guest trapped, hit a limit, or returned an error."""
    INTERRUPTED = 130
    """Ctrl-C."""


#: By the code of an error, or of a class it is of. Codes are stable; naming the classes themselves
#: would make every command load everything.
EXIT_CODES: Final = {
    "invalid-configuration": ExitCode.USAGE,
    "invalid-deployment-name": ExitCode.USAGE,
    "not-offered": ExitCode.USAGE,
    "invalid-actor-key": ExitCode.USAGE,
    "invalid-setting": ExitCode.USAGE,
    "invalid-address": ExitCode.USAGE,
    "invalid-request": ExitCode.USAGE,
    "invalid-storage-request": ExitCode.USAGE,
    "codec-error": ExitCode.USAGE,
    "invalid-access": ExitCode.USAGE,
    "policy-error": ExitCode.USAGE,
    "unknown-deployment": ExitCode.NOT_FOUND,
    "unknown-actor": ExitCode.NOT_FOUND,
    "unknown-revision": ExitCode.NOT_FOUND,
    "nothing-to-roll-back-to": ExitCode.NOT_FOUND,
    "unknown-export": ExitCode.NOT_FOUND,
    "unknown-grant": ExitCode.NOT_FOUND,
    "unknown-approval": ExitCode.NOT_FOUND,
    "no-audit-log": ExitCode.NOT_FOUND,
    "audit-key": ExitCode.NOT_FOUND,
    "script-failed": ExitCode.GUEST,
    "trap": ExitCode.GUEST,
    "limit-exceeded": ExitCode.GUEST,
    "guest-exit": ExitCode.GUEST,
    "call-drained": ExitCode.GUEST,
    "deployment-held": ExitCode.GUEST,
    "actor-failed": ExitCode.GUEST,
    "refused": ExitCode.GUEST,
    "start-failed": ExitCode.GUEST,
    "state-directory": ExitCode.STATE,
    "audit-locked": ExitCode.STATE,
    "server-unreachable": ExitCode.STATE,
    "audit-full": ExitCode.STATE,
}


def exit_code_of(error: Exception) -> ExitCode:
    """Return the exit code for an error that ended a command."""
    if isinstance(error, FileNotFoundError):
        return ExitCode.NOT_FOUND
    if not isinstance(error, AirsSysError):
        return ExitCode.FAILURE
    if error.code == "manifest-invalid" and "line" in error.context:
        return ExitCode.USAGE
    classes = (each for each in type(error).__mro__ if issubclass(each, AirsSysError))
    for code in (error.code, *(each.default_code for each in classes)):
        if code in EXIT_CODES:
            return EXIT_CODES[code]
    return ExitCode.FAILURE
