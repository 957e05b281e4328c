"""What can be changed of a deployment when another component is deployed to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.settings import ActorSettings
    from airssys.wasm.delivery.replay import Replay
    from airssys.wasm.limits import Limits
    from airssys.wasm.quotas import Ceilings
    from airssys.wasm.revision import Enforcement, Lifetime
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.settings import Mounts

__all__ = ["Changes"]


class Changes(TypedDict, total=False):
    """Keywords of `Deployment.deploy`, as `Host.deploy` has them; what is left out stays as it is.

    `hooks`, `grant`, `who`, `why` and `allow_downgrade` are about this deploy alone.
    """

    lifetime: Lifetime | None
    limits: Limits | None
    instances: int | None
    drain: float | None
    keep: int | None
    actor: ActorSettings | None
    ceilings: Ceilings | None
    capabilities: Asked | None
    mounts: Mounts | None
    environment: Mapping[str, str] | None
    config: Mapping[str, Any] | None
    enforcement: Enforcement | None
    observe_until: dt.datetime | None
    implements: object
    replay: Replay | None
    hooks: Hooks | None
    grant: Literal["requested", "none"] | None
    who: str | None
    why: str
    allow_downgrade: bool
