"""Make accesses as fast as possible, say how many were made, until killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from airssys import osl
from airssys.osl import OSL, AccessDenied, Principal


async def load(directory: Path) -> None:
    system = OSL(policy=directory / "policy.toml", audit=directory / "audit")
    with system.acting_as(Principal("alice")):
        for number in itertools.count(1):
            try:
                await osl.read_file(directory / ("open" if number % 2 else f"closed{number}"))
            except (AccessDenied, FileNotFoundError):
                pass
            os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "open").write_bytes(b"x")
    (where / "policy.toml").write_text(
        f'[[rule]]\nto = ["alice"]\naccess = ["read"]\ntarget = ["{where}/open"]\n'
    )
    asyncio.run(load(where))
