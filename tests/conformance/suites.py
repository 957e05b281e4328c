"""Find a suite that was written by others, at the commit that the expectations are for."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

EXPECTED = Path(__file__).with_name("expected")


@dataclass(frozen=True, slots=True)
class Suite:
    """What is checked in about a suite: nothing of its files, only what we expect of them.

    Attributes:
        repository: Where it lives, `owner/name`.
        commit: The commit that the expectations were made with.
        folder: The part of the repository that is run.
        variable: The environment variable that names a checkout, a bare clone or a plain folder.
        failures: Reasons by place (a case, or `file:line`); these fail, and everything else passes.
    """

    repository: str
    commit: str
    folder: str
    variable: str
    failures: dict[str, str]


def described(name: str) -> Suite:
    """Read `expected/<name>.toml`."""
    content = tomllib.loads((EXPECTED / f"{name}.toml").read_text("utf-8"))
    return Suite(
        repository=content["repository"],
        commit=content["commit"],
        folder=content["folder"],
        variable=content["variable"],
        failures={
            place: group["reason"]
            for group in content.get("failures", ())
            for place in group["places"]
        },
    )


def located(suite: Suite, scratch: Path) -> Path:
    """Return the suite's folder, taken from the recorded commit where there is a repository.

    Skips the test when the environment variable is not set.
    """
    named = os.environ.get(suite.variable)
    if not named:
        pytest.skip(f"set {suite.variable} to a clone of {suite.repository} to run this suite")
    place = Path(named)
    if not place.is_dir():
        pytest.fail(f"{suite.variable}={named}: no such folder")
    if not (place / ".git").exists() and not (place / "objects").is_dir():
        return place / suite.folder
    command = ["git", "-C", str(place), "archive", suite.commit, suite.folder]
    archived = subprocess.run(command, check=False, capture_output=True)
    if archived.returncode:
        pytest.fail(f"{named} has no commit {suite.commit}: {archived.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / suite.folder


def check(suite: Suite, failed: dict[str, str], part: str = "") -> None:
    """Compare what failed, by place, with what is expected to fail in this part of a suite."""
    expected = {place for place in suite.failures if place.startswith(part)}
    unexpected = [f"{place}: {what}" for place, what in failed.items() if place not in expected]
    assert not unexpected, "\n".join(["unexpected failures:", *unexpected])
    stale = sorted(expected - failed.keys())
    assert not stale, f"expected to fail, but pass: {stale}"
