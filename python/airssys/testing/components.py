"""A component under test: deployed in a host of its own, with everything that a host gives."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import tempfile
from typing import TYPE_CHECKING, Any, Literal

from airssys.testing.doubles import Heard, Listener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from airssys.osl import Record
    from airssys.testing.http import HttpAnswer
    from airssys.wasm import BlockingDeployment, BlockingHost, Component, Revision
    from airssys.wasm.actors.blocking_actor import BlockingActor
    from airssys.wasm.actors.log_line import LogLine
    from airssys.wasm.manifest import ComponentManifest
    from airssys.wasm.settings import Mounts

__all__ = ["ComponentUnderTest", "component_under_test", "deployed"]

_NAME = "tested/component"


@dataclasses.dataclass(frozen=True, slots=True)
class ComponentUnderTest:
    """A deployed component, and what it did.

    Attributes:
        host: The host, which is its alone.
        deployment: The deployment.
    """

    host: BlockingHost
    deployment: BlockingDeployment

    @property
    def component(self) -> Component:
        """The component of the live revision."""
        return self.deployment.component

    @property
    def revision(self) -> Revision:
        """The live revision."""
        return self.deployment.revision

    def call(self, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function; as `Deployment.call`."""
        return self.deployment.call(function, *arguments, **named)

    def actor(self, key: str = "") -> BlockingActor:
        """Return one of its actors, started where it is not there."""
        return self.deployment.actor(key)

    def ask(self, message: Any, *, key: str = "", timeout: float = 30.0) -> Any:
        """Ask one of its actors and return the answer.

        Args:
            message: A value that its codec can write, or a payload.
            key: Which of its actors.
            timeout: Seconds.
        """
        return self.actor(key).ask(message, timeout)

    def tell(self, message: Any, *, key: str = "") -> None:
        """Send a message to one of its actors."""
        self.actor(key).tell(message)

    def request(self, method: str, target: str, body: object = None) -> HttpAnswer:
        """Send it a request over HTTP; what it answers, whatever the status.

        Args:
            method: `GET`, `POST`, …
            target: The path, and what follows `?`.
            body: Bytes and text as they are, None for none; anything else as JSON.
        """
        from airssys.testing.http import requested  # noqa: PLC0415 - costs who uses it

        return requested(self.host, self.deployment.name, method, target, body)

    def stand_in(self, address: str, answer: Any = None) -> Heard:
        """Put an actor where the component sends messages; return what arrives there.

        Args:
            address: Where: `acme/mailer`.
            answer: What it answers: a value, or a function of the message.
        """
        heard = Heard(address)
        actors = self.host._core.actors

        async def begin() -> None:
            ref = await actors.system.spawn(Listener, heard, answer)
            actors.exchange.expose(ref, address)

        actors.run(begin())
        return heard

    def listen(self, pattern: str) -> Heard:
        """Subscribe to topics; return what is published there from now on."""
        heard = Heard(pattern)
        actors = self.host._core.actors

        async def begin() -> None:
            ref = await actors.system.spawn(Listener, heard)
            actors.system.topics.subscribe(pattern, ref)

        actors.run(begin())
        return heard

    def publish(self, topic: str, message: Any) -> int:
        """Publish a message; return how many took it."""
        actors = self.host._core.actors

        async def begin() -> int:
            return actors.system.topics.publish(topic, message).accepted

        return actors.run(begin())

    def logs(self) -> tuple[LogLine, ...]:
        """Return what it logged and printed, the oldest line first."""
        if self.revision.settings.actor is not None:
            self.host._core.actors.run(_turns())
        return self.deployment.logs()

    def stored(self, key: str) -> bytes | None:
        """Return what it keeps under a key of its storage, or None."""
        return self.deployment.storage.get(key)

    def decisions(self, decision: str = "") -> tuple[Record, ...]:
        """Return what was decided about its accesses, the oldest first; refusals as `deny`."""
        from airssys.osl import read_records  # noqa: PLC0415 - few tests ask

        self.host.osl.audit.flush()
        records = read_records(self.host.directory / "audit", decision=decision or None)
        # `acme/shop@1` reads a file; `acme/shop`, or `acme/shop#7`, sends a message.
        own = re.compile(rf"{re.escape(self.deployment.name)}([@#].*)?")
        return tuple(each for each in records if own.fullmatch(each.principal))

    def assert_logged(self, text: str) -> None:
        """Fail unless a line that it logged or printed contains `text`."""
        lines = [line.message for line in self.logs()]
        if not any(text in line for line in lines):
            raise AssertionError(f"no line contains {text!r}; it logged {lines}")

    def assert_denied(self, operation: str, target: str = "") -> None:
        """Fail unless such an access was refused.

        Args:
            operation: `kind.access`, as `filesystem.read`.
            target: Part of the target.
        """
        refused = [(each.operation, each.target) for each in self.decisions("deny")]
        if not any(operation == one and target in other for one, other in refused):
            raise AssertionError(f"{operation} {target!r} was not refused; refused: {refused}")

    def assert_stored(self, key: str, value: bytes | None) -> None:
        """Fail unless it keeps this value under a key; None: nothing."""
        found = self.stored(key)
        if found != value:
            raise AssertionError(f"under {key!r} it keeps {found!r}, expected {value!r}")


async def _turns() -> None:
    """Let the loop of the actors take what the message plane has told it until now."""
    for _ in range(3):
        await asyncio.sleep(0)


def manifest_in(content: bytes) -> ComponentManifest | None:
    """Return the manifest in a component; None for text, or where it carries none."""
    from airssys.wasm.manifest import embedded_manifest  # noqa: PLC0415 - see `decisions`

    return embedded_manifest(content) if content.startswith(b"\0asm") else None


@contextlib.contextmanager
def component_under_test(
    file: Path,
    *,
    grant: Literal["requested"] | None = "requested",
    provides: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    mounts: Mounts | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ComponentUnderTest]:
    """Deploy a component in a host of its own, which forgets everything in the end.

    Args:
        file: The component.
        grant: `requested` grants what its manifest asks for; None grants nothing.
        provides: Functions that it imports beyond those of the host, as `Host.open` takes them.
        config: What the operator sets; defaults of the manifest besides.
        mounts: Directories of this machine by their path in the component.
        environment: Variables that it may be granted to read.
    """
    from airssys.wasm import Host, StorageSettings  # noqa: PLC0415 - see `decisions`

    with tempfile.TemporaryDirectory(prefix="airssys-test-") as state:
        storage = StorageSettings(in_memory=True)
        with Host.open_blocking(state, provides=provides, storage=storage) as host:
            yield deployed(
                host, file, grant=grant, config=config, mounts=mounts, environment=environment
            )


def deployed(
    host: BlockingHost,
    file: Path,
    *,
    name: str = "",
    grant: Literal["requested"] | None = "requested",
    config: Mapping[str, Any] | None = None,
    mounts: Mounts | None = None,
    environment: Mapping[str, str] | None = None,
) -> ComponentUnderTest:
    """Deploy a component as its manifest says; see `component_under_test`."""
    from airssys.wasm.actors import ActorSettings  # noqa: PLC0415 - see `decisions`

    content = file.read_bytes()
    manifest = manifest_in(content)
    lifetime = "call" if manifest is None else manifest.instance.lifetime
    declared = {} if manifest is None else manifest.config
    values = {key: each.default for key, each in declared.items() if each.default is not None}
    values.update(config or {})
    deployment = host.deploy(
        content,
        name=name or (_NAME if manifest is None else manifest.component.name),
        lifetime=lifetime,
        grant=grant,
        actor=ActorSettings(config=values) if lifetime == "actor" else None,
        config=None if lifetime == "actor" else values,
        mounts=mounts,
        environment=environment,
    )
    return ComponentUnderTest(host, deployment)
