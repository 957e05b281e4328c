"""A crawler that asks a site no faster than allowed, against a server of its own on loopback.

    python examples/rt/crawler.py

The limiter gives permits at a fixed rate; fetchers wait for one before each request. The frontier
knows which pages were seen and ends when nothing is under way.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.rt import Actor, Ask, Bounded, System, Tell, handles

if TYPE_CHECKING:
    from airssys.rt import PoolRef, Ref, Reply

PAGES = 25
RATE = 50.0  # requests a second


@dataclass(frozen=True, slots=True)
class Permit(Ask["Limiter", None]):
    """Wait until one more request is allowed."""


@dataclass(frozen=True, slots=True)
class Tick(Tell["Limiter"]):
    """Time for the next permit."""


@dataclass(frozen=True, slots=True)
class Fetch(Tell["Fetcher"]):
    """Get a page and report its links."""

    path: str
    frontier: Ref[Frontier]


@dataclass(frozen=True, slots=True)
class Found(Tell["Frontier"]):
    """The links of a page."""

    path: str
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Crawl(Ask["Frontier", frozenset[str]]):
    """Crawl from a page on; answered with every page when all are seen."""

    path: str


class Limiter(Actor):
    """Answers one `Permit` per tick, in the order they were asked for."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.waiting: list[Reply[None]] = []

    async def started(self) -> None:
        """Begin to tick."""
        self.timers.every(1 / self.rate, Tick())

    @handles
    def permit(self, _message: Permit) -> None:
        """Let the asker wait."""
        self.waiting.append(self.defer())

    @handles
    def tick(self, _message: Tick) -> None:
        """Let one go."""
        if self.waiting:
            self.waiting.pop(0).send(None)


class Fetcher(Actor):
    """Gets one page at a time."""

    def __init__(self, port: int, limiter: Ref[Limiter]) -> None:
        self.port, self.limiter = port, limiter

    @handles
    async def fetch(self, message: Fetch) -> None:
        """Ask for a permit, then for the page."""
        await self.limiter.ask(Permit(), timeout=30)
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET {message.path} HTTP/1.0\r\n\r\n".encode())
            page = (await reader.read()).decode()
            writer.close()
        message.frontier.tell(Found(message.path, tuple(re.findall(r'href="([^"]+)"', page))))


class Frontier(Actor):
    """Knows what was seen and what is under way."""

    def __init__(self, fetchers: PoolRef[Fetcher]) -> None:
        self.fetchers = fetchers
        self.seen: set[str] = set()
        self.under_way: set[str] = set()

    @handles
    async def crawl(self, message: Crawl) -> None:
        """Begin; the answer comes when nothing is under way."""
        self.reply: Reply[frozenset[str]] = self.defer()
        await self.visit(message.path)

    @handles
    async def found(self, message: Found) -> None:
        """Visit what is new."""
        self.under_way.discard(message.path)
        for link in message.links:
            await self.visit(link)
        if not self.under_way:
            self.reply.send(frozenset(self.seen))

    async def visit(self, path: str) -> None:
        """Hand a page that was not seen to a fetcher, waiting for room."""
        if path not in self.seen:
            self.seen.add(path)
            self.under_way.add(path)
            await self.fetchers.send(Fetch(path, self.ref), timeout=30)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request for page n with links to 2n+1 and 2n+2."""
    number = int((await reader.readline()).split()[1].decode().removeprefix("/"))
    links = (f'<a href="/{n}">' for n in (0, 2 * number + 1, 2 * number + 2) if n < PAGES)
    writer.write(f"HTTP/1.0 200 OK\r\n\r\n{''.join(links)}".encode())
    await writer.drain()
    writer.close()


async def main() -> None:
    """Serve, crawl, and look at the clock."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, System("crawler") as system:
        limiter = await system.spawn(Limiter, RATE)
        room = Bounded(10, full="wait")
        fetchers = await system.pool("fetchers", Fetcher, port, limiter, size=4, mailbox=room)
        frontier = await system.spawn(Frontier, fetchers)
        began = system.loop.time()
        pages = await frontier.ask(Crawl("/0"), timeout=30)
        seconds = system.loop.time() - began
    print(
        f"{len(pages)} pages in {seconds:.2f} s: {len(pages) / seconds:.0f} a second at most {RATE}"
    )
    assert len(pages) == PAGES
    assert seconds >= (PAGES - 1) / RATE


if __name__ == "__main__":
    asyncio.run(main())
