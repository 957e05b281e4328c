"""Let guests open files as fast as they can while rights come and go, until killed.

Each guest keeps the number of its attempts in a file of its own, counted before each is made.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from deputy_world import COMPONENTS, Deputies, script

from airssys.wasm import Engine

GUESTS = 3
WANTED = ("open", "closed", "sometimes", "missing/at/all")


async def load(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    component = Engine().load(COMPONENTS / "actor-puppet.wasm")
    deputies = Deputies(folder, component)
    deputies.open()
    names = [f"acme/p{number}" for number in range(GUESTS)]
    for name in ("open", "closed", "sometimes"):
        (deputies.data / name).write_bytes(b"x")
    always = []
    for number, name in enumerate(names):
        (deputies.data / f"counts{number}").write_bytes(bytes(8))
        always += [
            deputies.files(name, "read write", f"counts{number}"),
            deputies.files(name, "read", "open"),
        ]
    sometimes = [deputies.files(name, "read", "sometimes") for name in names]
    deputies.load(*always)
    # Over this rate refusals are counted instead of written one by one.
    actors = [await deputies.actor(name, audit_rate=2000.0, audit_burst=50) for name in names]

    async def work(number: int) -> None:
        paths = [f"/data/{name}" for name in WANTED]
        attempts = script(["try", f"/data/counts{number}", 50, *paths])
        while True:
            await actors[number].ask(attempts, 30.0)

    async def rule() -> None:
        while True:
            deputies.load(*always, *(sometimes if rng.random() < 0.5 else ()))
            await asyncio.sleep(rng.random() * 0.01)

    await asyncio.gather(rule(), *(work(number) for number in range(GUESTS)))


if __name__ == "__main__":
    asyncio.run(load(Path(sys.argv[1]), int(sys.argv[2])))
