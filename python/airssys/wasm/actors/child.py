"""Component actors in specifications of supervision trees."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from airssys.rt import Child
from airssys.wasm.actors.actor import ComponentActor
from airssys.wasm.actors.ref import ComponentRef

if TYPE_CHECKING:
    from airssys.rt import LocalRef
    from airssys.wasm.actors.site import Site

__all__ = ["ComponentChild"]


class ComponentChild(Child):
    """The specification of one supervised component actor; it stands beside any other child.

    Made by `Deployment.child`. It is run as the deployment's `ActorSettings` say.

    Args:
        name: Unique among its siblings.
        site: Where it lives.
        **options: Fields of `airssys.rt.Options` that replace what the settings say.
    """

    __slots__ = ()

    ref_type: ClassVar[type[LocalRef[Any]]] = ComponentRef

    def __init__(self, name: str, site: Site, **options: Any) -> None:
        super().__init__(name, ComponentActor, site)
        self.options = dataclasses.replace(site.make.settings.options, **options)
