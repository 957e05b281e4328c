"""Workers whose writes are known beforehand, so that a dictionary tells what must be there."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm import BlockingNamespace

__all__ = ["LIFE", "WORKERS", "after", "contents", "writes"]

#: The last of them writes through a guest.
WORKERS = 4

Model = dict[str, bytes]

#: A process that writes for ever and prints what was acknowledged: worker, number of its write.
LIFE = """
import asyncio, sys
from airssys.wasm import Delete, Host, Put
from benchmarks.storage.model import WORKERS, writes

async def work(store, worker, seed):
    for number, changes in enumerate(writes(seed, worker), start=1):
        if worker == WORKERS - 1 and len(changes) == 1:
            [(key, value)] = changes.items()
            if value is None:
                await store.api.delete(key)
            else:
                await store.api.set(key, value, None)
        else:
            await store.storage.batch(
                [Delete(key) if value is None else Put(key, value)
                 for key, value in changes.items()]
            )
        print(worker, number, flush=True)

async def main(state, seed):
    async with Host.open(state) as host:
        store = host.deployment("acme/store")
        await asyncio.gather(*(work(store, worker, seed) for worker in range(WORKERS)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def writes(seed: int, worker: int) -> Iterator[dict[str, bytes | None]]:
    """Yield the changes of each write of a worker, for ever; None deletes."""
    source = random.Random(f"{seed} {worker}")
    while True:
        changes: dict[str, bytes | None] = {}
        for _ in range(source.choice((1, 1, 2, 5))):
            key = f"w{worker}/k{source.randrange(12)}"
            gone = source.random() < 0.3
            changes[key] = None if gone else source.randbytes(source.choice((0, 10, 300, 6000)))
        yield changes


def after(model: Model, seed: int, worker: int, count: int) -> Model:
    """Return what a worker's keys hold after so many of its writes."""
    model = dict(model)
    for _, changes in zip(range(count), writes(seed, worker), strict=False):
        for key, value in changes.items():
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
    return model


def contents(namespace: BlockingNamespace) -> list[Model]:
    """Return what each worker's keys hold."""
    found: list[Model] = [{} for _ in range(WORKERS)]
    for entry in namespace.scan():
        found[int(entry.key[1])][entry.key] = entry.value
    return found
