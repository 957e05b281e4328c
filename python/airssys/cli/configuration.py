"""Where the settings of the command line come from.

A flag wins over the environment (`AIRSSYS_STATE`), which wins over `airssys.toml` in the working
directory or the nearest one above it, which wins over the user's `config.toml`, which wins over the
default.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import platformdirs
import typer

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from airssys.wasm.trust import Admission

__all__ = ["InvalidConfiguration", "State", "admission", "policy", "state_directory"]

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
    for file in _files():
        state = _host_setting(file, "state")
        if state is None:
            continue
        if not isinstance(state, str) or not state:
            raise InvalidConfiguration(
                f"{file}: host.state must be the path of a directory, got {state!r}",
                file=str(file),
            )
        return file.parent / Path(state).expanduser()
    return platformdirs.user_state_path("airssys")


def admission() -> Admission:
    """Return which components the host lets in: `any` by default, or `trusted` ones only.

    Raises:
        InvalidConfiguration: A configuration file is not valid; the message names it.
    """
    found: list[tuple[str, object]] = []
    if environment := os.environ.get("AIRSSYS_ADMISSION"):
        found.append(("AIRSSYS_ADMISSION", environment))
    found += [(f"{file}: host.admission", _host_setting(file, "admission")) for file in _files()]
    for where, value in found:
        match value:
            case None:
                continue
            case "any" | "trusted":
                return value
            case _:
                raise InvalidConfiguration(f"{where} must be 'any' or 'trusted', got {value!r}")
    return "any"


def policy() -> list[Path] | None:
    """Return the policy files of the host, from `AIRSSYS_POLICY` or `host.policy`.

    Raises:
        InvalidConfiguration: A configuration file is not valid; the message names it.
    """
    if environment := os.environ.get("AIRSSYS_POLICY"):
        return [Path(each) for each in environment.split(os.pathsep) if each]
    for file in _files():
        found = _host_setting(file, "policy")
        if found is None:
            continue
        given = [found] if isinstance(found, str) else found
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise InvalidConfiguration(
                f"{file}: host.policy must be the path of a policy file, or several, got {found!r}",
                file=str(file),
            )
        return [file.parent / Path(each).expanduser() for each in given]
    return None


def _files() -> list[Path]:
    project = _project_file()
    user = platformdirs.user_config_path("airssys") / "config.toml"
    return [user] if project is None else [project, user]


def _project_file() -> Path | None:
    here = Path.cwd()
    for directory in (here, *here.parents):
        file = directory / "airssys.toml"
        if file.is_file():
            return file
    return None


def _host_setting(file: Path, name: str) -> object:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidConfiguration(f"cannot read {file}: {error}", file=str(file)) from error
    host = document.get("host", {})
    if not isinstance(host, dict):
        raise InvalidConfiguration(f"{file}: host must be a table", file=str(file))
    return host.get(name)
