"""AirsSys: supervised, replaceable, capability-checked WebAssembly plug-ins for Python."""

from __future__ import annotations

from airssys.errors import AirsSysError

__all__ = ["AirsSysError"]
