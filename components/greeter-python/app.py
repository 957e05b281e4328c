"""A component written in Python: greets, counts, and fails politely."""

from collections import Counter

import wit_world
from componentize_py_types import Err


class WitWorld(wit_world.WitWorld):
    def greet(self, name: str) -> str:
        if not name.strip():
            raise Err("a visitor without a name cannot be greeted")
        return f"Hello, {name}!"

    def summarize(self, visits: list[wit_world.Visit]) -> list[tuple[str, int]]:
        counts: Counter[str] = Counter()
        for visit in visits:
            counts[visit.name] += visit.count
        return counts.most_common()

    def reverse(self, data: bytes) -> bytes:
        return data[::-1]

    def version(self) -> str:
        return "1.0.0"
