"""Processes."""

from airssys.osl.processes.operations import (
    DEFAULT_ENVIRONMENT,
    KillProcess,
    ListChildren,
    RunProcess,
    SignalProcess,
    SpawnProcess,
    WaitProcess,
)
from airssys.osl.processes.process import Process
from airssys.osl.processes.records import Confinement, ExitStatus, ProcessLimits, ProcessOutput

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "Confinement",
    "ExitStatus",
    "KillProcess",
    "ListChildren",
    "Process",
    "ProcessLimits",
    "ProcessOutput",
    "RunProcess",
    "SignalProcess",
    "SpawnProcess",
    "WaitProcess",
]
