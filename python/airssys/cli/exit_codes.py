"""What the exit code of `airssys` says."""

from __future__ import annotations

import enum

from airssys.cli.configuration import InvalidConfiguration
from airssys.osl.errors import InvalidAccess, OslError, PolicyError
from airssys.rt import ActorFailed
from airssys.wasm.actors import GuestRefused, StartFailed
from airssys.wasm.codecs import CodecError
from airssys.wasm.errors import GuestExit, LimitExceeded, Trap, UnknownExport
from airssys.wasm.host_errors import (
    CallDrained,
    DeploymentHeld,
    InvalidDeploymentName,
    InvalidSetting,
    NothingToRollBackTo,
    StateDirectoryError,
    UnknownDeployment,
    UnknownRevision,
)
from airssys.wasm.manifest.errors import ManifestError
from airssys.wasm.storage_errors import InvalidStorageRequest

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


def exit_code_of(error: Exception) -> ExitCode:  # noqa: PLR0911 - one answer per kind
    """Return the exit code for an error that ended a command."""
    match error:
        case (
            InvalidConfiguration()
            | InvalidDeploymentName()
            | InvalidSetting()
            | InvalidStorageRequest()
            | CodecError()
            | InvalidAccess()
            | PolicyError()
        ):
            return ExitCode.USAGE
        case ManifestError(context={"line": _}):
            return ExitCode.USAGE
        case (
            UnknownDeployment()
            | UnknownRevision()
            | NothingToRollBackTo()
            | UnknownExport()
            | FileNotFoundError()
        ):
            return ExitCode.NOT_FOUND
        case (
            Trap()
            | LimitExceeded()
            | GuestExit()
            | CallDrained()
            | DeploymentHeld()
            | ActorFailed()
            | GuestRefused()
            | StartFailed()
        ):
            return ExitCode.GUEST
        case StateDirectoryError() | OslError(code="audit-locked" | "audit-full"):
            return ExitCode.STATE
        case OslError(code="no-audit-log" | "audit-key"):
            return ExitCode.NOT_FOUND
        case _:
            return ExitCode.FAILURE
