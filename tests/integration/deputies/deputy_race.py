"""A race for the rights of others."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from deputy_world import COMPONENTS, Deputies

from airssys.wasm import Engine

if TYPE_CHECKING:
    from pathlib import Path

MAY, MAY_NOT, DEPUTY = "acme/may", "acme/may-not", "acme/deputy"


async def lend_nothing(folder: Path, seed: int, rounds: int) -> tuple[int, int]:
    """Let one who may write and one who may not ask the same deputy at once, again and again.

    Raises:
        AssertionError: One of them got what was the other's.

    Returns:
        How many writes were refused, and how many made.
    """
    deputies = Deputies(folder, Engine().load(COMPONENTS / "actor-puppet.wasm"))
    deputies.open()
    try:
        return await _race(deputies, random.Random(seed), rounds)
    finally:
        deputies.close()


async def _race(deputies: Deputies, rng: random.Random, rounds: int) -> tuple[int, int]:
    deputies.load(
        deputies.talk(MAY),
        deputies.talk(MAY_NOT),
        deputies.files(DEPUTY, "read write"),
        deputies.files(MAY, "read write"),
    )
    file = deputies.data / "x"
    file.write_text("")
    may, may_not = await deputies.actor(MAY), await deputies.actor(MAY_NOT)
    deputy = await deputies.actor(DEPUTY)
    refused = written = 0
    opened = await deputies.via(may, DEPUTY, ["open", "/data/x", "rw"])
    assert opened == [{"ok": None}]
    for _ in range(rounds):
        asked = [
            deputies.via(who, DEPUTY, ["use", "/data/x", letter])
            for who, letter in ((may, "y"), (may_not, "n"))
            for _ in range(rng.randint(1, 3))
        ]
        rng.shuffle(asked)
        for (outcome,) in await asyncio.gather(*asked):
            written += "ok" in outcome
            refused += "error" in outcome
    await deputy.kill()
    assert file.read_text() == "y" * written
    denied = [each for each in deputies.records("filesystem") if each.decision == "deny"]
    assert {tuple(each.callers) for each in denied} <= {(MAY_NOT,)}
    return refused, written
