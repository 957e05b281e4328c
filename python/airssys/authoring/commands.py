"""Running the programs of others."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from airssys.authoring.errors import BuildFailed
from airssys.authoring.places import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["run"]

_GRACE = 2.0


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    failed: str = "",
    hint: str = "",
    say: Callable[[str], None] = silent,
) -> str:
    """Run a program to its end and return what it wrote to its standard output.

    It has a process group of its own: `KeyboardInterrupt`, and anything else that is raised
    meanwhile, ends it and all that it started.

    Args:
        command: The program and its arguments.
        cwd: Where it runs.
        env: Its environment; that of this process by default.
        failed: What to say when it fails; its own words become notes. The command by default.
        hint: The next step then.
        say: Told what it wrote to its standard error where it did not fail.

    Raises:
        BuildFailed: It could not be started, or ended with a status other than 0.
    """
    words = [os.fspath(word) for word in command]
    shown = shlex.join(words)
    try:
        with _no_interrupt() as interrupted:
            process = subprocess.Popen(  # noqa: S603 - no shell, and the words are ours
                words,
                cwd=cwd,
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
    except OSError as error:
        raise BuildFailed(f"cannot run {words[0]}: {error.strerror}", hint=hint) from error
    try:
        if interrupted:
            raise KeyboardInterrupt  # noqa: TRY301 - as one that comes a moment later
        output, errors = process.communicate()
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        failure = BuildFailed(failed or f"`{shown}` failed", hint=hint, command=shown)
        failure.add_note((errors.strip() or output.strip())[-20_000:])
        raise failure
    if errors.strip():
        say(errors.strip())
    return output


@contextlib.contextmanager
def _no_interrupt() -> Iterator[list[int]]:
    """Put Ctrl-C off, or a program that has just been started would be nobody's."""
    interrupted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE)
            return
