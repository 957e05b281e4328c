"""Contracts with components, written in Python: WIT is made of them, components are held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.contracts.contract import Contract, contract_of, interface, raises, world
    from airssys.wasm.contracts.errors import ContractMismatch, InvalidContract
    from airssys.wasm.contracts.shapes import (
        F32,
        S8,
        S16,
        S32,
        U8,
        U16,
        U32,
        U64,
        Char,
        case,
        named,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "contract": ("Contract", "contract_of", "interface", "raises", "world"),
            "errors": ("ContractMismatch", "InvalidContract"),
            "shapes": (
                "F32",
                "S8",
                "S16",
                "S32",
                "U8",
                "U16",
                "U32",
                "U64",
                "Char",
                "case",
                "named",
            ),
        },
    )

__all__ = [
    "F32",
    "S8",
    "S16",
    "S32",
    "U8",
    "U16",
    "U32",
    "U64",
    "Char",
    "Contract",
    "ContractMismatch",
    "InvalidContract",
    "case",
    "contract_of",
    "interface",
    "named",
    "raises",
    "world",
]
