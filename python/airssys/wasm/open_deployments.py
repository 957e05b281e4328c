"""The deployments of an open host, by name, and who may change one of them."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from airssys.wasm._native import ShortTurns
from airssys.wasm.host_errors import DeploymentHeld, DeploymentIsActor, UnknownDeployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm.ingress import Ingresses
    from airssys.wasm.quotas import Ledger
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Revision
    from airssys.wasm.serving import Serving

__all__ = ["OpenDeployments"]


class OpenDeployments:
    """What runs on one open host. Every method may be called by any thread.

    Args:
        registry: What is recorded of deployments, those that do not run included.
        ledger: Keeps what one used that is gone.
        ingresses: Told of each that was changed.
        make: Makes the live side of one that is new.
        check: Refuses to go on once the host is closed.
    """

    def __init__(
        self,
        registry: Registry,
        ledger: Ledger,
        ingresses: Ingresses,
        make: Callable[[str], Serving],
        check: Callable[[], None],
    ) -> None:
        #: Each by its name; one that is being made has no revision yet.
        self.all: dict[str, Serving] = {}
        self._registry = registry
        self._ledger = ledger
        self._ingresses = ingresses
        self._make = make
        self._check = check
        self._one_addition = threading.Lock()

    def names(self) -> tuple[str, ...]:
        """Return the names of the deployments, sorted."""
        self._check()
        return tuple(sorted(name for name, each in list(self.all.items()) if each.revision))

    def serving(self, name: str) -> Serving:
        """Return the live side of a deployment.

        Raises:
            UnknownDeployment: There is none of this name.
        """
        self._check()
        serving = self.all.get(name)
        if serving is None or serving.revision is None:
            known = self._registry.deployments()
            raise UnknownDeployment(name, [each.name for each in known])
        return serving

    def live(self, name: str) -> Revision | None:
        """Return the live revision of a deployment, or None where there is no such deployment."""
        self._check()
        serving = self.all.get(name)
        return serving.revision if serving else None

    def refuse_held(self, serving: Serving) -> None:
        """Raise what explains why a deployment takes no calls, if it takes none."""
        self._check()
        if serving.held is not None:
            raise DeploymentHeld(
                f"deployment '{serving.name}' is held: {serving.held}",
                hint="deploy a component that runs, or roll back",
                name=serving.name,
            )

        if serving.make is not None:
            raise DeploymentIsActor(
                f"deployment '{serving.name}' is an actor and takes messages, not calls",
                hint="deployment.actor().ask(...), or `airssys ask`",
                name=serving.name,
            )

    @contextlib.contextmanager
    def change(self, name: str) -> Iterator[Serving]:
        """Be the one who changes the deployment of this name, which may have no revision yet."""
        while True:
            with self._one_addition:
                serving = self.all.setdefault(name, self._make(name))
            with serving.one_change:
                # Removed while this waited: the name is another deployment's now.
                if serving.gone:
                    continue
                try:
                    self._check()
                    with ShortTurns():
                        yield serving
                    if serving.revision is not None:
                        self._ingresses.changed(serving)
                finally:
                    if serving.revision is None:
                        serving.gone = True
                        self._ledger.end(name, serving.usage())
                        with self._one_addition:
                            del self.all[name]
                return
