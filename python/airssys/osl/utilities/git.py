"""Git as a utility: what a repository says about itself, without running what it brings along."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from airssys.osl.utilities.utility import Utility

if TYPE_CHECKING:
    from airssys.osl.processes.records import ProcessOutput

__all__ = ["GitCommit", "GitStatus", "git_log", "git_status"]

# A repository is data here: its configuration must not choose programs, helpers or pagers.
_ENVIRONMENT = MappingProxyType(
    {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "",
        "GIT_CONFIG_COUNT": "4",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": "false",
        "GIT_CONFIG_KEY_1": "core.hooksPath",
        "GIT_CONFIG_VALUE_1": "/dev/null",
        "GIT_CONFIG_KEY_2": "protocol.allow",
        "GIT_CONFIG_VALUE_2": "never",
        "GIT_CONFIG_KEY_3": "diff.external",
        "GIT_CONFIG_VALUE_3": "",
    }
)


@dataclass(frozen=True, slots=True)
class GitStatus:
    """One changed path.

    Attributes:
        state: The two letters of `git status --porcelain=v1`: in the index, in the work tree.
        path: Relative to the top of the repository; other encodings as `os.fsdecode` has them.
    """

    state: str
    path: str


@dataclass(frozen=True, slots=True)
class GitCommit:
    """One commit: its id, author, UTC seconds of authoring, and first line."""

    id: str
    author: str
    authored: int
    subject: str


def _status(output: ProcessOutput) -> tuple[GitStatus, ...]:
    fields = output.stdout.split(b"\0")
    found = []
    index = 0
    while index < len(fields) and fields[index]:
        state = fields[index][:2].decode("ascii")
        found.append(GitStatus(state, fields[index][3:].decode(errors="surrogateescape")))
        # Renames and copies are followed by the path they came from.
        index += 2 if state[0] in "RC" else 1
    return tuple(found)


def _log(output: ProcessOutput) -> tuple[GitCommit, ...]:
    commits = []
    for record in output.stdout.decode(errors="replace").split("\0"):
        if record:
            commit, author, authored, subject = record.split("\x1f")
            commits.append(GitCommit(commit, author, int(authored), subject))
    return tuple(commits)


#: `git_status(repository=...)`
git_status: Utility[tuple[GitStatus, ...]] = Utility(
    "git.status",
    "git",
    ("-C", "{repository:path}", "status", "--porcelain=v1", "-z", "--ignore-submodules=all"),
    _status,
    environment=_ENVIRONMENT,
)

#: `git_log(repository=..., count=..., revision="HEAD")`
git_log: Utility[tuple[GitCommit, ...]] = Utility(
    "git.log",
    "git",
    (
        "-C",
        "{repository:path}",
        "log",
        "-z",
        "--format=%H%x1f%an%x1f%at%x1f%s",
        "--max-count={count:int}",
        "--no-ext-diff",
        "--end-of-options",
        "{revision:text}",
    ),
    _log,
    environment=_ENVIRONMENT,
)
