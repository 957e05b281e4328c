"""A cache with a time to live, which asks its origin once for many askers of the same key.

    python examples/rt/request_cache.py

The cache defers replies while a fetch runs, so it goes on answering other keys; a timer message to
itself forgets an entry. Nothing is locked, because one message is handled at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.rt import Actor, Ask, System, Tell, handles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airssys.rt import Reply

TTL = 0.2


@dataclass(frozen=True, slots=True)
class Get(Ask["Cache", str]):
    """The value of a key, from memory or from the origin."""

    key: str


@dataclass(frozen=True, slots=True)
class Fetched(Tell["Cache"]):
    """The origin answered: a value or an error."""

    key: str
    result: str | Exception


@dataclass(frozen=True, slots=True)
class Expire(Tell["Cache"]):
    """An entry is too old."""

    key: str


class Cache(Actor):
    """Remembers what `fetch` returned, for `ttl` seconds."""

    def __init__(self, fetch: Callable[[str], Awaitable[str]], ttl: float) -> None:
        self.fetch, self.ttl = fetch, ttl
        self.values: dict[str, str] = {}
        self.waiting: dict[str, list[Reply[str]]] = {}

    @handles
    async def get(self, message: Get) -> str | None:
        """Answer now, or join those who wait for the fetch."""
        if message.key in self.values:
            return self.values[message.key]
        replies = self.waiting.setdefault(message.key, [])
        replies.append(self.defer())
        if len(replies) == 1:
            self.background(self.ask_origin(message.key))
        return None

    async def ask_origin(self, key: str) -> None:
        """Fetch outside of any handler, and come back as a message."""
        try:
            result: str | Exception = await self.fetch(key)
        except OSError as error:
            result = error
        self.ref.tell(Fetched(key, result))

    @handles
    def fetched(self, message: Fetched) -> None:
        """Remember a value and answer everyone; an error is not remembered."""
        for reply in self.waiting.pop(message.key):
            if isinstance(message.result, Exception):
                reply.refuse(message.result)
            else:
                reply.send(message.result)
        if not isinstance(message.result, Exception):
            self.values[message.key] = message.result
            self.timers.once(self.ttl, Expire(message.key), key=message.key)

    @handles
    def expire(self, message: Expire) -> None:
        """Forget."""
        del self.values[message.key]


async def main() -> None:
    """Ask a slow origin through the cache and count how often it was really asked."""
    calls: Counter[str] = Counter()

    async def origin(key: str) -> str:
        calls[key] += 1
        await asyncio.sleep(0.05)
        if key == "missing":
            raise FileNotFoundError(key)
        return f"page {key}, version {calls[key]}"

    async with System("cache") as system:
        cache = await system.spawn(Cache, origin, TTL)
        values = await asyncio.gather(*(cache.ask(Get("a")) for _ in range(100)))
        print(f"100 asks at once: {set(values)}, origin asked {calls['a']} time")
        await cache.ask(Get("a"))
        assert calls["a"] == 1
        await asyncio.sleep(TTL + 0.1)
        print("after the time to live:", await cache.ask(Get("a")))
        assert calls["a"] == 2
        try:
            await cache.ask(Get("missing"))
        except FileNotFoundError as error:
            print("an error of the origin reaches the asker:", repr(error))


if __name__ == "__main__":
    asyncio.run(main())
