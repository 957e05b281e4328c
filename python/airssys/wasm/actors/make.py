"""What the incarnations of a component actor are made of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airssys.wasm.actors.hooks import Hooks
from airssys.wasm.actors.settings import ActorSettings
from airssys.wasm.codecs import PREFIXES, UnknownCodec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm._native import _core

__all__ = ["Make"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """What the incarnations of a component actor are made of; another one upgrades it.

    Attributes:
        component: The compiled component.
        limits: The bounds of each instance; a call's are those of one message.
        wasi: What instances may reach; None for nothing.
        services: Host services that instances use.
        settings: How the actor is run.
        rights: Whom it may send to; None for nobody.
        hooks: What is called at the turns of its life.
        revision: The revision that it belongs to; 0 where there is no deployment.
        statistics: Where its messages are counted; None counts them nowhere else.
    """

    component: _core.Component
    limits: _core.Limits
    wasi: _core.Wasi | None = None
    services: Sequence[_core.Service] = ()
    settings: ActorSettings = dataclasses.field(default_factory=ActorSettings)
    rights: _core.MessageRights | None = None
    hooks: Hooks = dataclasses.field(default_factory=Hooks)
    revision: int = 0
    statistics: _core.LineStatistics | None = None

    @property
    def accepts(self) -> list[int]:
        """The codecs that are taken, as numbers; none for any."""
        return [_number(name) for name in self.settings.accepts]

    def exports(self, interface: str) -> bool:
        """Whether the component exports an interface of `airssys:core`."""
        prefix = f"airssys:core/{interface}@"
        return any(path.startswith(prefix) for path in self.component.exports)

    @property
    def parts(self) -> dict[str, Any]:
        """What the message plane makes instances of, besides the component."""
        return {
            "limits": self.limits,
            "wasi": self.wasi,
            "services": self.services,
            "accepts": self.accepts,
            "config": self.config,
            "statistics": self.statistics,
        }

    @property
    def config(self) -> list[tuple[str, Any]]:
        """What `initialize` gets; what is neither a number, a truth nor a text travels as JSON."""
        return list(self.settings.config.items())


def _number(name: str) -> int:
    number = PREFIXES.get(name)
    if number is None:
        raise UnknownCodec(
            f"no codec is named {name!r}; there are {', '.join(PREFIXES)}",
            wanted=name,
            known=list(PREFIXES),
        )
    return number
