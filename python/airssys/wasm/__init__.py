"""WebAssembly components in Python: load, limit, call."""

from __future__ import annotations

from airssys.wasm._native import Function, Instance, Resource, build_info
from airssys.wasm.component import Component, RunResult
from airssys.wasm.engine import Engine
from airssys.wasm.errors import (
    CompileError,
    ComponentTooLarge,
    EngineError,
    ForkedHostError,
    GuestExit,
    HostShutDown,
    InstanceBusy,
    InstancePoisoned,
    InvalidComponent,
    LimitExceeded,
    LinkError,
    PoolExhausted,
    Trap,
    UnknownExport,
    UnknownImport,
)
from airssys.wasm.limits import Limits
from airssys.wasm.values import Err, GuestError, Ok, Some, WitError
from airssys.wasm.wasi import Directory, Wasi

__all__ = [
    "CompileError",
    "Component",
    "ComponentTooLarge",
    "Directory",
    "Engine",
    "EngineError",
    "Err",
    "ForkedHostError",
    "Function",
    "GuestError",
    "GuestExit",
    "HostShutDown",
    "Instance",
    "InstanceBusy",
    "InstancePoisoned",
    "InvalidComponent",
    "LimitExceeded",
    "Limits",
    "LinkError",
    "Ok",
    "PoolExhausted",
    "Resource",
    "RunResult",
    "Some",
    "Trap",
    "UnknownExport",
    "UnknownImport",
    "Wasi",
    "WitError",
    "build_info",
]
