"""Scripts: revisions that are source text, run by a component that was compiled once for all."""

from __future__ import annotations

from airssys.wasm.scripts.errors import LoaderMissing, ScriptError
from airssys.wasm.scripts.script import LARGEST, Script

__all__ = ["LARGEST", "LoaderMissing", "Script", "ScriptError"]
