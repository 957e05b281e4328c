"""Testing actors on virtual time: seeded, replayable, without sleeping."""

from __future__ import annotations

from airssys.testing.clock import Deadlock, VirtualLoop
from airssys.testing.conservation import NotConserved, assert_conserved
from airssys.testing.faults import Faults
from airssys.testing.probe import Probe
from airssys.testing.system import TestSystem

__all__ = [
    "Deadlock",
    "Faults",
    "NotConserved",
    "Probe",
    "TestSystem",
    "VirtualLoop",
    "assert_conserved",
]
