"""What stands in the consoles of a page."""

from __future__ import annotations

__all__ = ["commands"]


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what it is said to print first."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, printed = found[-1]
            found[-1] = (command, f"{printed}{line}\n")
    return found
