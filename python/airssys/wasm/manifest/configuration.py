"""An `airssys.toml` in use: what it says, with its paths resolved and its words made settings."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from airssys.wasm.manifest.errors import ManifestError
from airssys.wasm.manifest.host_manifest import HostManifest, Maxima
from airssys.wasm.manifest.read import nearest, read_host_manifest
from airssys.wasm.quotas.ceilings import Ceilings, HostCeilings

if TYPE_CHECKING:
    from airssys.wasm.manifest.host_manifest import DeploymentEntry
    from airssys.wasm.trust import Admission

__all__ = ["Configuration"]


@dataclasses.dataclass(frozen=True, slots=True)
class Configuration:
    """How the operator has a host and its deployments run.

    Args:
        manifest: What the file says.
        folder: What the paths in it are relative to.
        file: The file, for messages.
    """

    manifest: HostManifest
    folder: Path
    file: str

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Configuration:
        """Read an `airssys.toml`.

        Raises:
            ManifestError: The file is not one; the message begins with `file:line:column`.
            OSError: The file cannot be read.
        """
        return cls(read_host_manifest(path), Path(path).absolute().parent, os.fspath(path))

    @classmethod
    def of(cls, given: str | os.PathLike[str] | Configuration | None) -> Configuration | None:
        """Return a configuration that was given as such or as its file, if one was.

        Raises:
            ManifestError: As `read` says.
            OSError: As `read` says.
        """
        return given if given is None or isinstance(given, Configuration) else cls.read(given)

    def over(self, other: Configuration) -> Configuration:
        """Return this, with what it leaves out of `[host]` as another file has it."""
        ours, theirs = self.manifest.host, other.manifest.host
        policy = other.policy
        host = msgspec.structs.replace(
            ours,
            state=ours.state or (None if other.state is None else str(other.state)),
            admission=ours.admission or theirs.admission,
            policy=(None if policy is None else tuple(map(str, policy)))
            if ours.policy is None
            else ours.policy,
            memory=ours.memory or theirs.memory,
            maxima=ours.maxima or theirs.maxima,
        )
        return dataclasses.replace(self, manifest=msgspec.structs.replace(self.manifest, host=host))

    @property
    def state(self) -> Path | None:
        """The state directory, if the file names one."""
        state = self.manifest.host.state
        return None if state is None else self.path(state)

    @property
    def admission(self) -> Admission | None:
        """Which components the host lets in, if the file says so."""
        return self.manifest.host.admission

    @property
    def policy(self) -> list[Path] | None:
        """The policy files of the host, if the file names any."""
        found = self.manifest.host.policy
        if found is None:
            return None
        return [self.path(each) for each in ((found,) if isinstance(found, str) else found)]

    @property
    def maxima(self) -> Maxima:
        """The most that any deployment gets."""
        return self.manifest.host.maxima or Maxima()

    @property
    def ceilings(self) -> HostCeilings:
        """What all deployments may use together, and those of a namespace."""
        return HostCeilings(
            memory=self.manifest.host.memory,
            namespaces={
                name: Ceilings(memory=entry.memory, calls_per_second=entry.calls_per_second)
                for name, entry in self.manifest.namespaces.items()
            },
        )

    def entry(self, deployment: str) -> DeploymentEntry | None:
        """Return what the file says of a deployment, if it has it."""
        return self.manifest.deployments.get(deployment)

    def source(self, deployment: str) -> Path | str:
        """Return where the component of a deployment is: a file, or the digest of one stored.

        Raises:
            ManifestError: The file has no such deployment; the message names a near one.
        """
        entry = self.entry(deployment)
        if entry is None:
            raise ManifestError(
                f"{self.file}: no deployment {deployment!r}"
                f"{nearest(deployment, iter(self.manifest.deployments))}",
                deployment=deployment,
            )
        if entry.source.startswith("sha256:"):
            return entry.source
        return self.path(entry.source)

    def path(self, text: str) -> Path:
        """Return a path of the file, which is relative to where the file is."""
        return self.folder / Path(text).expanduser()
