"""What a deployment's components have to export, in a form that outlives who declared it."""

from __future__ import annotations

import dataclasses
import hashlib

from airssys.wasm.contracts.errors import ContractMismatch, InvalidContract
from airssys.wasm.wit import described, differences

__all__ = ["Required"]


@dataclasses.dataclass(frozen=True, slots=True)
class Required:
    """An interface as WIT, which is on record with a revision and travels to servers.

    Attributes:
        name: Of the interface, with its version where it has one; of the world with `of_world`.
        wit: A package that has it.
        of_world: Whether it is what a world exports itself.
    """

    name: str
    wit: str
    of_world: bool = False

    def __str__(self) -> str:
        """Return its name, and what tells it from another of this name."""
        return f"{self.name} ({hashlib.sha256(self.wit.encode()).hexdigest()[:12]})"

    def check(self, component: bytes) -> None:
        """Return if a component implements it, in structure.

        Raises:
            ContractMismatch: It does not; says what is missing or other.
            InvalidContract: The text has no such interface.
            ValueError: The bytes are no component.
        """
        try:
            own = described(content=self.wit.encode())
        except ValueError as error:
            raise InvalidContract(f"{self.name}: its WIT cannot be read: {error}") from error
        found = described(content=component)
        if self.of_world:
            wanted, given = own.own_exports(self.name), found.own_exports(self.name)
        else:
            wanted, given = own.interface(self.name), found.exported(self.name)
        if wanted is None:
            raise InvalidContract(f"{self.name} is not in the WIT that should have it")
        if given is None:
            others = ", ".join(found.exported_names()) or "nothing"
            raise ContractMismatch(self.name, [f"it exports {others}"])
        wrong = differences(own, wanted, found, given)
        if wrong:
            raise ContractMismatch(self.name, wrong)
