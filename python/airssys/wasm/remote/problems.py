"""Failures as problem documents (RFC 9457), and back as the exceptions that they were."""

from __future__ import annotations

import builtins
from importlib import import_module
from typing import Any, Final

import msgspec

from airssys.errors import AirsSysError
from airssys.wasm.remote.errors import ServerFailed

__all__ = ["MEDIA_TYPE", "Problem", "error_of", "problem_of"]

MEDIA_TYPE: Final = "application/problem+json"

#: Where the exceptions are made that a host may raise.
_MODULES: Final = (
    "airssys.osl.errors",
    "airssys.rt.errors",
    "airssys.wasm.actors.failures",
    "airssys.wasm.actors.hand_over",
    "airssys.wasm.backup.errors",
    "airssys.wasm.codecs.errors",
    "airssys.wasm.delivery.errors",
    "airssys.wasm.errors",
    "airssys.wasm.host_errors",
    "airssys.wasm.manifest.errors",
    "airssys.wasm.remote.errors",
    "airssys.wasm.remote.values",
    "airssys.wasm.security.errors",
    "airssys.wasm.storage_errors",
    "airssys.wasm.trust.errors",
)
#: Exceptions of Python that tell of a wrong argument or of the system.
_PYTHON: Final = (
    TypeError,
    ValueError,
    OverflowError,
    KeyError,
    LookupError,
    TimeoutError,
    FileNotFoundError,
    PermissionError,
    OSError,
)
#: HTTP status codes by the code of an error, or of a class it is of; else 500.
_STATUS: Final = {
    "approval-needed": 403,
    "call-drained": 503,
    "codec-error": 400,
    "component-too-large": 422,
    "dependency-refused": 409,
    "deployment-held": 409,
    "deployment-locked": 423,
    "deployment-is-actor": 409,
    "deployment-is-no-actor": 409,
    "deployment-overloaded": 503,
    "digest-mismatch": 400,
    "ask-timeout": 504,
    "foreign-request": 403,
    "host-closed": 503,
    "invalid-component": 422,
    "invalid-deployment-name": 400,
    "invalid-request": 400,
    "invalid-setting": 400,
    "invalid-strategy": 400,
    "link-error": 422,
    "mailbox-full": 503,
    "malformed-values": 400,
    "manifest-invalid": 422,
    "not-authenticated": 401,
    "not-trusted": 403,
    "nothing-to-roll-back-to": 409,
    "payload-too-large": 413,
    "policy-error": 400,
    "pool-exhausted": 503,
    "refused": 409,
    "request-too-large": 413,
    "revision-collected": 410,
    "role-needed": 403,
    "rollout-in-progress": 409,
    "replay-differs": 409,
    "rollout-over": 409,
    "rollout-taken-back": 409,
    "server-busy": 503,
    "shadow-unsafe": 409,
    "state-write-failed": 507,
    "strategy-unsupported": 409,
    "unknown-approval": 404,
    "unknown-component": 404,
    "unknown-deployment": 404,
    "unknown-export": 404,
    "unknown-grant": 404,
    "unknown-revision": 404,
    "value-stays": 422,
    "wait-timeout": 504,
}
_DEEPEST: Final = 5


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A failure as the server tells of it.

    Attributes:
        type: Names the kind of failure: `urn:airssys:` and its code.
        title: The class of the failure.
        status: The status code of the response.
        detail: One sentence that names the offending thing, what was expected and the next step.
        code: Stable kebab-case name of the kind of failure, for programs.
        hint: The next step alone.
        attributes: What else the failure carries, by name.
        notes: Further text, such as a guest's backtrace.
        cause: What led to it.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str = ""
    hint: str = ""
    attributes: dict[str, Any] = {}
    notes: list[str] = []
    cause: Problem | None = None


def problem_of(error: BaseException, depth: int = 0) -> Problem:
    """Return the document that tells of a failure."""
    cause = None
    if error.__cause__ is not None and depth < _DEEPEST:
        cause = problem_of(error.__cause__, depth + 1)
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    if isinstance(error, AirsSysError):
        return Problem(
            type=f"urn:airssys:{error.code}",
            title=type(error).__name__,
            status=_status(error),
            detail=error.message,
            code=error.code,
            hint=str(getattr(error, "hint", "")),
            attributes=_attributes(error),
            notes=notes,
            cause=cause,
        )
    for known in _PYTHON:
        if isinstance(error, known):
            return Problem(
                type="about:blank",
                title=known.__name__,
                status=400,
                detail=str(error),
                notes=notes,
                cause=cause,
            )
    return Problem(
        type="about:blank", title=type(error).__name__, status=500, detail=str(error), notes=notes
    )


def error_of(problem: Problem) -> BaseException:
    """Return the exception that a document tells of, of the class that it was."""
    error = _python_error(problem) or _own_error(problem)
    for note in problem.notes:
        error.add_note(note)
    if problem.cause is not None:
        error.__cause__ = error_of(problem.cause)
    return error


def _status(error: AirsSysError) -> int:
    classes = (each for each in type(error).__mro__ if issubclass(each, AirsSysError))
    for code in (error.code, *(each.default_code for each in classes)):
        if code in _STATUS:
            return _STATUS[code]
    return 500


def _attributes(error: AirsSysError) -> dict[str, Any]:
    """Return what JSON has of an error's attributes."""
    found = {}
    for name, value in vars(error).items():
        if name in {"message", "code", "hint", "coredump"} or name.startswith("__"):
            continue
        try:
            found[name] = msgspec.to_builtins(value)
        except (TypeError, ValueError):  # something of the host's process, such as a decision
            found[name] = _told(value)
    return found


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _simple(item) for key, item in value.items()}
    return str(value)


def _simple(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError):
        return str(value)


def _python_error(problem: Problem) -> BaseException | None:
    if problem.code or problem.title not in {each.__name__ for each in _PYTHON}:
        return None
    made: BaseException = getattr(builtins, problem.title)(problem.detail)
    return made


def _own_error(problem: Problem) -> AirsSysError:
    found = _classes().get(problem.title)
    if found is None:
        return ServerFailed(problem.detail, code=problem.code or None)
    error = found.__new__(found, problem.detail)
    error.args = (problem.detail,)
    error.message, error.code, error.context = problem.detail, problem.code, {}
    if problem.hint:
        problem.attributes["hint"] = problem.hint
    error.__dict__.update(problem.attributes)
    if "backtrace" in problem.attributes:  # not sent: a core dump
        error.__dict__["coredump"] = None
    return error


_known: dict[str, type[AirsSysError]] = {}


def _classes() -> dict[str, type[AirsSysError]]:
    """Return the classes that a document may name; never more than those of this package."""
    if not _known:
        for module in _MODULES:
            import_module(module)
        waiting: list[type[AirsSysError]] = [AirsSysError]
        while waiting:
            each = waiting.pop()
            # Two packages have a `LimitExceeded`; that of guests is meant.
            if each.__module__.startswith("airssys.") and not (
                each.__name__ in _known and each.__module__.startswith("airssys.osl")
            ):
                _known[each.__name__] = each
            waiting += each.__subclasses__()
    return _known
