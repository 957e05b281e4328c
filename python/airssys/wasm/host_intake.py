"""What comes into a host: components, admitted and reviewed, and how they are to be run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airssys.errors import AirsSysError
from airssys.wasm.blobs import digest_of
from airssys.wasm.component_file import named
from airssys.wasm.delivery.dependencies import (
    about_of,
    check_dependants,
    check_imports,
    dependants,
    resolved,
)
from airssys.wasm.delivery.strategies import BlueGreen
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.errors import CompileError, InvalidComponent
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.host_inputs import read_source
from airssys.wasm.manifest import filed_strategy, granted_places
from airssys.wasm.scripts.loaders import Loaders
from airssys.wasm.security.inputs import capabilities_of, manifest_of
from airssys.wasm.settings import completed
from airssys.wasm.trust.store import Level

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from airssys.wasm.component import Component
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.engine import Engine
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.manifest.configuration import Configuration
    from airssys.wasm.revision import About, Locked, Revision, Settings
    from airssys.wasm.security.host_security import HostSecurity
    from airssys.wasm.security.review import Review, Reviewed
    from airssys.wasm.serving import Serving
    from airssys.wasm.state_directory import StateDirectory
    from airssys.wasm.trust.admissions import Admissions
    from airssys.wasm.trust.store import Assessment

__all__ = ["Intake"]


class Intake:
    """Admits, reviews, compiles and completes what is to be deployed; it changes no deployment.

    Every method may be called by any thread.

    Args:
        state: The open state directory.
        configuration: The operator's file, for whatever else is not given.
        admissions: Which components are let in.
        security: What they ask for and were granted.
        engine: Compiles them.
        servings: The deployments, by name.
        check: Refuses to go on once the host is closed.
        closed: Whether it is.
    """

    def __init__(
        self,
        state: StateDirectory,
        configuration: Configuration | None,
        admissions: Admissions,
        security: HostSecurity,
        engine: Engine,
        servings: Mapping[str, Serving],
        check: Callable[[], None],
        closed: Callable[[], bool],
    ) -> None:
        self._state = state
        self._configuration = configuration
        self._admissions = admissions
        self._security = security
        self._engine = engine
        self._loaders = Loaders(state.path)
        self._servings = servings
        self._check = check
        self._closed = closed

    @property
    def verifies(self) -> bool:
        """Whether anything may be refused: else there is nothing to verify a component against."""
        return self._admissions.needed

    def completed(self, content: bytes, name: str, settings: Settings) -> Settings:
        """Return how a component is run, with no rights."""
        settings = completed(settings, name, manifest_of(content), self._configuration)
        return dataclasses.replace(settings, capabilities=None)

    def load(self, content: bytes) -> Component:
        """Compile a component that was in before, however long that takes."""
        return self._loaders.load(self._engine, content)

    def depending(
        self, name: str, content: bytes, component: Component
    ) -> tuple[About, dict[str, Locked]]:
        """Return what a component says of itself, and what its dependencies resolve to.

        Raises:
            DependencyRefused: One is missing, or something that depends on it cannot use it.
        """
        registry = self._state.registry
        about, wanted = about_of(content)
        check_dependants(name, about, registry)
        self.check_imports(name, component)
        return about, resolved(name, wanted, registry)

    def check_imports(self, name: str, component: Component) -> None:
        """Refuse a component without what others import of the one that is live.

        Raises:
            DependencyRefused: It is; the message names who imports what.
        """
        serving = self._servings.get(name)
        if serving is None or serving.component is None:
            return  # what is not there, or held, serves nobody
        users = []
        for other, _ in dependants(name, self._state.registry):
            found = self._servings.get(other)
            if found is not None and found.component is not None:
                users.append((other, found.component))
        check_imports(name, serving.component, component, users)

    def component(self, content: bytes) -> Component:
        """Compile a component, or take it from the cache."""
        return self.compile(content, None)

    def component_of(self, revision: Revision) -> Component:
        """Return the component of a revision.

        Raises:
            ComponentDamaged: Its bytes are gone.
        """
        return self.compile(self._state.blobs.get(revision.digest), None)

    def review(
        self,
        source: Source | None,
        *,
        name: str,
        settings: Settings,
        allow_downgrade: bool = False,
        inherited: bool = False,
    ) -> Review:
        """Return what a component would ask for as a revision of a deployment; nothing changes.

        Args:
            source: A path, or the component itself.
            name: The deployment, which need not exist.
            settings: How it would be run.
            allow_downgrade: As for `deploy`.
            inherited: The capabilities in `settings` are what an earlier component asked for.
        """
        self._check()
        check_deployment_name(name)
        content = self.content(source, name)
        found = self.admit(
            content, digest_of(content), name, allow_downgrade=allow_downgrade, told=False
        )
        self.compile(content, None, source)  # which says best what is no component
        settings = self.effective(content, name, settings, inherited=inherited)
        trusted = found.level is Level.TRUSTED
        filed = self.filed_grants(name, settings)
        return self._security.review(name, settings, content, trusted=trusted, filed=filed)

    def content(self, source: Source | None, name: str) -> bytes:
        """Return a component: the one that is given, or the one that the operator's file names.

        Raises:
            InvalidSetting: There is no such file; where there is one, it has no such deployment.
            OSError: It cannot be read.
        """
        if source is not None:
            return read_source(source)
        if self._configuration is None:
            raise InvalidSetting(
                f"nothing says which component '{name}' is",
                hint="name one, or open the host with the airssys.toml that does",
            )
        found = self._configuration.source(name)
        return self.stored(found) if isinstance(found, str) else read_source(found)

    def stored(self, digest: str) -> bytes:
        """Return a component that the state directory holds.

        Raises:
            ComponentDamaged: It is not there, or not what it was.
        """
        return self._state.blobs.get(digest)

    def effective(
        self, content: bytes, name: str, settings: Settings, *, inherited: bool
    ) -> Settings:
        """Return how a component is run: as was said, and where nothing was, as both files say.

        What it has to implement is what the live revision has to, unless something else was said.
        """
        settings = completed(settings, name, manifest_of(content), self._configuration)
        asked = capabilities_of(content, settings.capabilities, inherited=inherited)
        serving = self._servings.get(name)
        implements = settings.implements
        if implements is None and serving is not None and serving.revision is not None:
            implements = serving.revision.settings.implements
        return dataclasses.replace(settings, capabilities=asked, implements=implements)

    def fitting(
        self, content: bytes, name: str, settings: Settings, *, inherited: bool
    ) -> Settings:
        """Return how a component is run, if it implements what it has to and may ask for that.

        Raises:
            ContractMismatch: It does not implement it.
        """
        effective = self.effective(content, name, settings, inherited=inherited)
        if effective.implements is not None:
            effective.implements.check(content)
        self._security.check(effective)
        return effective

    def filed_grants(self, name: str, settings: Settings) -> frozenset[str]:
        """Return the places of the requests that the operator's file grants."""
        entry = None if self._configuration is None else self._configuration.entry(name)
        return granted_places(name, () if entry is None else entry.grants, settings.capabilities)

    def strategy(self, name: str, given: Strategy | None) -> Strategy:
        """Return how a deployment is moved: as was said, else as the operator's file says."""
        if given is not None:
            return given
        entry = None if self._configuration is None else self._configuration.entry(name)
        return BlueGreen() if entry is None else filed_strategy(entry)

    def approved(self, content: bytes, name: str, approved: Reviewed | None) -> Reviewed:
        """Return what an approval of a component is about, if it is what was approved."""
        about = self._security.about(content)
        if approved not in (None, about):
            raise InvalidSetting(
                f"'{name}': the component or the policy of the host is not what was approved",
                hint="review it again",
            )
        return about

    def admit(
        self, content: bytes, digest: str, name: str, *, allow_downgrade: bool, told: bool = True
    ) -> Assessment:
        """Let a component in or not, on record; what is let in is recorded where it is `told`."""
        try:
            found = self._admissions.admit(content, name, allow_downgrade=allow_downgrade)
        except AirsSysError as error:
            self._security.tell_admission(name, digest, "deny", error.code)
            raise
        if told:
            rule = "allow-downgrade" if found.downgrade else found.key or found.level.value
            self._security.tell_admission(name, digest, "allow", rule)
        return found

    def compile(
        self, content: bytes, given_up: threading.Event | None, source: Source | None = None
    ) -> Component:
        """Load a component for as long as somebody waits for it; errors name its `source`."""

        def unwanted() -> bool:
            return self._closed() or (given_up is not None and given_up.is_set())

        try:
            return self._loaders.load(self._engine, content, unwanted)
        except InvalidComponent as error:
            raise named(error, source) from None
        except CompileError:
            self._check()
            raise

    def readmitted(self, name: str, revision: Revision) -> bytes:
        """Return the component of a revision, which was verified again."""
        content = self._state.blobs.get(revision.digest)
        try:
            self._admissions.readmit(content, name, revision)
        except AirsSysError as error:
            self._security.tell_admission(name, revision.digest, "deny", error.code)
            raise
        return content
