"""What can go wrong with contracts."""

from __future__ import annotations

from airssys.wasm.host_errors import HostError

__all__ = ["ContractMismatch", "InvalidContract"]


class InvalidContract(HostError):
    """A Protocol cannot be a contract; the message names the place."""

    default_code = "invalid-contract"


class ContractMismatch(HostError):
    """A component does not implement a contract.

    Attributes:
        interface: The contract's name in WIT.
        differences: What is missing or other, one text for each.
    """

    default_code = "contract-mismatch"

    def __init__(self, interface: str, differences: list[str]) -> None:
        super().__init__(
            f"the component does not implement {interface}: {'; '.join(differences)}",
            interface=interface,
            differences=differences,
        )
        self.interface = interface
        self.differences = differences
