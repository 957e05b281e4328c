"""Which of a deployment's actors run another revision than the live one."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airssys.wasm.actors.make import Make

__all__ = ["Share"]


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """A share of the actors, by a hash of their keys.

    Attributes:
        make: What they are made of.
        weight: How large it is, 0 to 1.
        salt: A secret of the rollout, so that nobody chooses a key for its side.
    """

    make: Make
    weight: float
    salt: bytes

    def place_of(self, key: str) -> float:
        """Return where a key stands, 0 to 1; those below the weight are in the share."""
        digest = hashlib.blake2b(key.encode(), key=self.salt, digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def has(self, key: str) -> bool:
        """Return whether an actor that comes only now is in the share."""
        return self.place_of(key) < self.weight
