"""A pool of workers that slows its producer down instead of filling memory.

    python examples/rt/worker_pool.py

Four workers with mailboxes of eight messages each. The producer uses `send`, which waits for room,
so at no time are more than 4 x 8 jobs queued; one worker fails on a bad job and is replaced.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from airssys.rt import Actor, Backpressure, Bounded, System, Tell, handles

JOBS = 400
WORKERS = 4
ROOM = 8


@dataclass(frozen=True, slots=True)
class Resize(Tell["Worker"]):
    """Make a thumbnail of one picture."""

    picture: int


class Worker(Actor):
    """Takes pictures, one at a time."""

    def __init__(self, finished: set[int]) -> None:
        self.finished = finished

    @handles
    async def resize(self, message: Resize) -> None:
        """Take a moment for each picture; one of them is broken."""
        await asyncio.sleep(0.002)
        if message.picture == 13:
            raise ValueError("picture 13 is broken")
        self.finished.add(message.picture)


async def main() -> None:
    """Produce faster than the workers consume."""
    finished: set[int] = set()
    async with System("thumbnails") as system:
        held_back: list[Backpressure] = []
        system.events.subscribe(held_back.append, Backpressure)
        pool = await system.pool(
            "workers",
            Worker,
            finished,
            size=WORKERS,
            routing="least-loaded",
            mailbox=Bounded(ROOM, full="wait"),
        )
        most = 0
        for picture in range(JOBS):
            await pool.send(Resize(picture))
            most = max(most, sum(books.queued for books in system.books()))
        await asyncio.gather(*(worker.stop(drain=True) for worker in pool.workers))
        died = [letter.message for letter in system.dead_letters.kept]
    print(f"{len(finished)} of {JOBS} pictures done, lost: {died}")
    print(f"never more than {most} queued (room for {WORKERS * ROOM})")
    print(f"the producer was held back {len(held_back)} times")
    assert len(finished) == JOBS - 1
    assert died == [Resize(13)]
    assert most <= WORKERS * ROOM
    assert held_back


if __name__ == "__main__":
    asyncio.run(main())
