"""Components as supervised actors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.actors.child import ComponentChild
    from airssys.wasm.actors.failures import (
        ComponentFailed,
        GuestRefused,
        InvalidActorState,
        NoSuchExport,
        NotPermitted,
        StartFailed,
    )
    from airssys.wasm.actors.hand_over import HandOverRefused
    from airssys.wasm.actors.hooks import Hooks, MessageSeen
    from airssys.wasm.actors.log_line import LogLine
    from airssys.wasm.actors.ref import ComponentRef
    from airssys.wasm.actors.settings import ActorSettings
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "child": ("ComponentChild",),
            "failures": (
                "ComponentFailed",
                "GuestRefused",
                "InvalidActorState",
                "NoSuchExport",
                "NotPermitted",
                "StartFailed",
            ),
            "hand_over": ("HandOverRefused",),
            "hooks": ("Hooks", "MessageSeen"),
            "log_line": ("LogLine",),
            "ref": ("ComponentRef",),
            "settings": ("ActorSettings",),
        },
    )

__all__ = [
    "ActorSettings",
    "ComponentChild",
    "ComponentFailed",
    "ComponentRef",
    "GuestRefused",
    "HandOverRefused",
    "Hooks",
    "InvalidActorState",
    "LogLine",
    "MessageSeen",
    "NoSuchExport",
    "NotPermitted",
    "StartFailed",
]
