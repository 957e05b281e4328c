"""Components as supervised actors."""

from __future__ import annotations

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
from airssys.wasm.actors.rights import Rights
from airssys.wasm.actors.settings import ActorSettings

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
    "Rights",
    "StartFailed",
]
