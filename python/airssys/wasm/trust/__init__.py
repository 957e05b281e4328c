"""Who made a component: keys, signatures, and the store that says whose signature counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.trust.errors import (
        ComponentBlocked,
        DowngradeRefused,
        KeyUnusable,
        NotTrusted,
        SignatureUnusable,
        TrustError,
        TrustStoreUnusable,
    )
    from airssys.wasm.trust.keys import SigningKey
    from airssys.wasm.trust.public_key import PublicKey
    from airssys.wasm.trust.signature import Signature, Statement, read_signatures, sign, subject_of
    from airssys.wasm.trust.store import (
        Admission,
        Assessment,
        Level,
        TrustedKey,
        TrustStore,
        rotation,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "errors": (
                "ComponentBlocked",
                "DowngradeRefused",
                "KeyUnusable",
                "NotTrusted",
                "SignatureUnusable",
                "TrustError",
                "TrustStoreUnusable",
            ),
            "keys": ("SigningKey",),
            "public_key": ("PublicKey",),
            "signature": ("Signature", "Statement", "read_signatures", "sign", "subject_of"),
            "store": ("Admission", "Assessment", "Level", "TrustedKey", "TrustStore", "rotation"),
        },
    )

__all__ = [
    "Admission",
    "Assessment",
    "ComponentBlocked",
    "DowngradeRefused",
    "KeyUnusable",
    "Level",
    "NotTrusted",
    "PublicKey",
    "Signature",
    "SignatureUnusable",
    "SigningKey",
    "Statement",
    "TrustError",
    "TrustStore",
    "TrustStoreUnusable",
    "TrustedKey",
    "read_signatures",
    "rotation",
    "sign",
    "subject_of",
]
