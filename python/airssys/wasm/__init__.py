"""WebAssembly components in Python: load, limit, call; deploy, replace, roll back."""

from __future__ import annotations

from airssys.wasm._native import Function, Instance, Resource, build_info
from airssys.wasm.accounting import DeploymentStatistics, RevisionStatistics
from airssys.wasm.component import Component, RunResult
from airssys.wasm.deployment import BlockingDeployment, Deployment
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
from airssys.wasm.host import Host
from airssys.wasm.host_blocking import BlockingHost
from airssys.wasm.host_errors import (
    CallDrained,
    ComponentDamaged,
    DeploymentHeld,
    DeploymentIsActor,
    DeploymentIsNoActor,
    DeploymentOverloaded,
    HostClosed,
    HostError,
    InvalidDeploymentName,
    InvalidSetting,
    NothingToRollBackTo,
    StateDirectoryDamaged,
    StateDirectoryError,
    StateDirectoryInUse,
    StateDirectoryTooNew,
    StateWriteFailed,
    UnknownDeployment,
    UnknownRevision,
)
from airssys.wasm.limits import Limits
from airssys.wasm.quotas import Ceilings, HostCeilings, LimitNotice, Usage
from airssys.wasm.revision import Revision, Rollout, Settings
from airssys.wasm.storage import Namespace, Storage, StorageWatch
from airssys.wasm.storage_blocking import BlockingNamespace, BlockingStorage
from airssys.wasm.storage_errors import InvalidStorageRequest, StorageQuotaExceeded
from airssys.wasm.storage_holder import StorageSettings
from airssys.wasm.storage_records import (
    Check,
    Delete,
    Put,
    StorageChange,
    StorageCopy,
    StorageEntry,
    StorageGap,
    StorageQuota,
    StorageUsage,
)
from airssys.wasm.streams import GuestFuture, GuestStream
from airssys.wasm.values import Err, GuestError, Ok, Some, WitError
from airssys.wasm.wasi import Directory, Wasi

__all__ = [
    "BlockingDeployment",
    "BlockingHost",
    "BlockingNamespace",
    "BlockingStorage",
    "CallDrained",
    "Ceilings",
    "Check",
    "CompileError",
    "Component",
    "ComponentDamaged",
    "ComponentTooLarge",
    "Delete",
    "Deployment",
    "DeploymentHeld",
    "DeploymentIsActor",
    "DeploymentIsNoActor",
    "DeploymentOverloaded",
    "DeploymentStatistics",
    "Directory",
    "Engine",
    "EngineError",
    "Err",
    "ForkedHostError",
    "Function",
    "GuestError",
    "GuestExit",
    "GuestFuture",
    "GuestStream",
    "Host",
    "HostCeilings",
    "HostClosed",
    "HostError",
    "HostShutDown",
    "Instance",
    "InstanceBusy",
    "InstancePoisoned",
    "InvalidComponent",
    "InvalidDeploymentName",
    "InvalidSetting",
    "InvalidStorageRequest",
    "LimitExceeded",
    "LimitNotice",
    "Limits",
    "LinkError",
    "Namespace",
    "NothingToRollBackTo",
    "Ok",
    "PoolExhausted",
    "Put",
    "Resource",
    "Revision",
    "RevisionStatistics",
    "Rollout",
    "RunResult",
    "Settings",
    "Some",
    "StateDirectoryDamaged",
    "StateDirectoryError",
    "StateDirectoryInUse",
    "StateDirectoryTooNew",
    "StateWriteFailed",
    "Storage",
    "StorageChange",
    "StorageCopy",
    "StorageEntry",
    "StorageGap",
    "StorageQuota",
    "StorageQuotaExceeded",
    "StorageSettings",
    "StorageUsage",
    "StorageWatch",
    "Trap",
    "UnknownDeployment",
    "UnknownExport",
    "UnknownImport",
    "UnknownRevision",
    "Usage",
    "Wasi",
    "WitError",
    "build_info",
]
