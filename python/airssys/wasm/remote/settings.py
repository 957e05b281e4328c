"""What a client says of how a component is to be run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from airssys.wasm.component_file import read_component
from airssys.wasm.security.mounts import Mount
from airssys.wasm.settings import settings_changed, settings_from
from airssys.wasm.wasi import Directory

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Mapping

    from airssys.wasm.actors.settings import ActorSettings
    from airssys.wasm.delivery.replay import Replay
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.limits import Limits
    from airssys.wasm.quotas import Ceilings
    from airssys.wasm.remote.address import Address
    from airssys.wasm.revision import Enforcement, Lifetime, Settings
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.settings import Mounts

__all__ = ["SettingsGiven", "content_of", "given_settings", "with_changes"]


class SettingsGiven(TypedDict, total=False):
    """The arguments of `Host.deploy` that say how a component is run; what is left out is as there.

    Attributes:
        lifetime, limits, instances, drain, keep, actor, ceilings, capabilities, mounts,
            environment, config, enforcement, observe_until, implements, replay: As for
            `Host.deploy`. Directories are those of the server's machine.
    """

    lifetime: Lifetime
    limits: Limits
    instances: int
    drain: float
    keep: int
    actor: ActorSettings
    ceilings: Ceilings
    capabilities: Asked
    mounts: Mounts
    environment: Mapping[str, str]
    config: Mapping[str, Any]
    enforcement: Enforcement
    observe_until: dt.datetime
    implements: object
    replay: Replay


def given_settings(given: SettingsGiven, address: Address) -> Settings:
    """Return the settings of a new deployment.

    Raises:
        InvalidSetting: A value is out of range.
    """
    mounts = given.pop("mounts", None)
    return _mounted(settings_from(**given), mounts, address)


def with_changes(settings: Settings, given: SettingsGiven, address: Address) -> Settings:
    """Return settings with what is given in the place of what there is.

    Raises:
        InvalidSetting: A value is out of range.
    """
    mounts = given.pop("mounts", None)
    return _mounted(settings_changed(settings, **given), mounts, address)


def content_of(source: Source) -> bytes:
    """Return a component that was given as a path or as itself."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    return read_component(source)


def _mounted(settings: Settings, given: Mounts | None, address: Address) -> Settings:
    """Return settings with the mounts that were given, if any were."""
    if given is None:
        return settings
    said = tuple(sorted({*(settings.said or ()), "mounts"}))
    return dataclasses.replace(settings, mounts=_mounts(given, address), said=said)


def _mounts(given: Mounts, address: Address) -> dict[str, Mount]:
    """Return mounts; a path that is not absolute is one of this process, where that is near."""
    found = {}
    for guest, directory in given.items():
        if not isinstance(directory, Directory):
            directory = Directory(directory)  # noqa: PLW2901 - a path is short for it
        found[guest] = Mount(_path(directory.path, address), directory.write)
    return found


def _path(path: str | os.PathLike[str], address: Address) -> str:
    return str(Path(path).absolute() if address.kind == "unix" else path)
