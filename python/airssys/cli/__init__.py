"""The command line for operators."""

from __future__ import annotations

from airssys.cli.main import main

__all__ = ["main"]
