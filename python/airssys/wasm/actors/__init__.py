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
from airssys.wasm.actors.hooks import Hooks
from airssys.wasm.actors.log_line import LogLine
from airssys.wasm.actors.ref import ComponentRef
from airssys.wasm.actors.settings import ActorSettings

__all__ = [
    "ActorSettings",
    "ComponentChild",
    "ComponentFailed",
    "ComponentRef",
    "GuestRefused",
    "Hooks",
    "InvalidActorState",
    "LogLine",
    "NoSuchExport",
    "NotPermitted",
    "StartFailed",
]
