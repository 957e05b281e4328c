"""Where the settings of the command line come from.

A flag wins over the environment (`AIRSSYS_STATE`), which wins over `airssys.toml` in the working
directory or the nearest one above it, which wins over the user's `config.toml`, which wins over the
default. Both files have the form of `airssys.toml`; of the user's, `[host]` counts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import platformdirs
import typer

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from airssys.wasm.manifest.configuration import Configuration
    from airssys.wasm.trust import Admission

__all__ = [
    "InvalidConfiguration",
    "State",
    "admission",
    "configuration",
    "policy",
    "server_address",
    "state_directory",
    "use_server",
]

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="State directory of the host [env: AIRSSYS_STATE; airssys.toml: host.state].",
    ),
]


#: What `--server` says, before the command.
_said: dict[str, str] = {}


class InvalidConfiguration(AirsSysError):
    """A configuration file cannot be read, or the environment holds a value that is not valid."""

    default_code = "invalid-configuration"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def configuration() -> Configuration | None:
    """Return what the files say, the project's over the user's; None where there is none.

    Raises:
        ManifestError: A file is not valid; the message names line and column.
        InvalidConfiguration: A file cannot be read.
    """
    files = [file for file in (_project_file(), _user_file()) if file is not None]
    if not files:
        return None
    # Only who has such a file pays for reading it.
    from airssys.wasm.manifest.configuration import Configuration  # noqa: PLC0415

    try:
        read = [Configuration.read(file) for file in files]
    except OSError as error:
        raise InvalidConfiguration(f"cannot read {error.filename}: {error.strerror}") from error
    return read[0] if len(read) == 1 else read[0].over(read[1])


def use_server(address: str | None) -> None:
    """Talk to the server at an address, which `--server` says."""
    _said.clear()
    if address is not None:
        _said["server"] = address


def server_address(flag: Path | None) -> str | None:
    """Return where the server is that is to be asked; None where a state directory says it.

    `AIRSSYS_SERVER` counts where neither `--server` nor `--state` is given.

    Raises:
        InvalidConfiguration: Both options are given.
    """
    said = _said.get("server")
    if said is not None and flag is not None:
        raise InvalidConfiguration(
            "--server and --state both say which host is meant", hint="give one of them"
        )
    if said is not None or flag is not None:
        return said
    return os.environ.get("AIRSSYS_SERVER") or None


def state_directory(flag: Path | None) -> Path:
    """Return the state directory to use.

    Raises:
        InvalidConfiguration: A server is named instead, which this command cannot ask.
        ManifestError: A configuration file is not valid.
        InvalidConfiguration: A configuration file cannot be read.
    """
    if flag is not None:
        return flag
    address = server_address(flag)
    if address is not None:
        raise InvalidConfiguration(
            f"this command works on a state directory, and was given the server {address}",
            hint="run it with --state DIR, on the machine that has the directory",
        )
    if environment := os.environ.get("AIRSSYS_STATE"):
        return Path(environment)
    found = configuration()
    if found is not None and found.state is not None:
        return found.state
    return platformdirs.user_state_path("airssys")


def admission() -> Admission | None:
    """Return which components the environment says that the host lets in, if it does.

    Raises:
        InvalidConfiguration: It is neither `any` nor `trusted`.
    """
    value = os.environ.get("AIRSSYS_ADMISSION") or None
    if value not in (None, "any", "trusted"):
        raise InvalidConfiguration(f"AIRSSYS_ADMISSION must be 'any' or 'trusted', got {value!r}")
    return cast("Admission | None", value)


def policy() -> list[Path] | None:
    """Return the policy files that the environment names (`AIRSSYS_POLICY`), if any."""
    if environment := os.environ.get("AIRSSYS_POLICY"):
        return [Path(each) for each in environment.split(os.pathsep) if each]
    return None


def _project_file() -> Path | None:
    here = Path.cwd()
    for directory in (here, *here.parents):
        file = directory / "airssys.toml"
        if file.is_file():
            return file
    return None


def _user_file() -> Path | None:
    file = platformdirs.user_config_path("airssys") / "config.toml"
    return file if file.is_file() else None
