"""Where the settings of the command line come from.

A flag wins over the environment (`AIRSSYS_STATE`), which wins over `airssys.toml` in the working
directory or the nearest one above it, which wins over the user's `config.toml`, which wins over the
default.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from airssys.errors import AirsSysError

__all__ = ["InvalidConfiguration", "State", "state_directory"]

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="State directory of the host [env: AIRSSYS_STATE; airssys.toml: host.state].",
    ),
]


class InvalidConfiguration(AirsSysError):
    """A configuration file cannot be read, or holds a value that is not valid."""

    default_code = "invalid-configuration"


def state_directory(flag: Path | None) -> Path:
    """Return the state directory to use.

    Raises:
        InvalidConfiguration: A configuration file is not valid; the message names it.
    """
    if flag is not None:
        return flag
    if environment := os.environ.get("AIRSSYS_STATE"):
        return Path(environment)
    for file in (_project_file(), platformdirs.user_config_path("airssys") / "config.toml"):
        if file is not None and (found := _state_in(file)) is not None:
            return found
    return platformdirs.user_state_path("airssys")


def _project_file() -> Path | None:
    here = Path.cwd()
    for directory in (here, *here.parents):
        file = directory / "airssys.toml"
        if file.is_file():
            return file
    return None


def _state_in(file: Path) -> Path | None:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidConfiguration(f"cannot read {file}: {error}", file=str(file)) from error
    host = document.get("host", {})
    if not isinstance(host, dict):
        raise InvalidConfiguration(f"{file}: host must be a table", file=str(file))
    state = host.get("state")
    if state is None:
        return None
    if not isinstance(state, str) or not state:
        raise InvalidConfiguration(
            f"{file}: host.state must be the path of a directory, got {state!r}", file=str(file)
        )
    return file.parent / Path(state).expanduser()
