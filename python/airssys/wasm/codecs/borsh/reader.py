"""Bytes with a position, and the bounds of reading them."""

from __future__ import annotations

__all__ = ["DEEPEST", "Reader"]

#: How deep values nest at most: structs in structs, options in lists.
DEEPEST = 128


class Reader:
    """What is left to read of a payload."""

    __slots__ = ("body", "depth", "position")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0
        self.depth = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.body) - self.position

    def take(self, count: int) -> bytes:
        """Read that many bytes."""
        end = self.position + count
        if end > len(self.body):
            raise ValueError(f"byte {self.position}: {count} bytes expected, {self.left} are left")
        taken = self.body[self.position : end]
        self.position = end
        return taken

    def length(self, least: int) -> int:
        """Read a length of items that take at least that many bytes each."""
        at = self.position
        count = int.from_bytes(self.take(4), "little")
        if count * least > self.left:
            raise ValueError(f"byte {at}: a length of {count}, with {self.left} bytes left")
        return count

    def choice(self, choices: int, what: str) -> int:
        """Read the byte that chooses among so many."""
        at = self.position
        chosen = self.take(1)[0]
        if chosen >= choices:
            raise ValueError(f"byte {at}: {chosen} is no {what}; at most {choices - 1}")
        return chosen
