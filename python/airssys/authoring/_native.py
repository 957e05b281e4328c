"""The door to the native module for everything that authors need of it."""

from __future__ import annotations

from airssys._core import c_bindings, componentise, read_world

__all__ = ["c_bindings", "componentise", "read_world"]
