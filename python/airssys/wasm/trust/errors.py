"""What can go wrong with keys, signatures and trust."""

from __future__ import annotations

from airssys.wasm.host_errors import HostError

__all__ = [
    "ComponentBlocked",
    "DowngradeRefused",
    "KeyUnusable",
    "NotTrusted",
    "SignatureUnusable",
    "TrustError",
    "TrustStoreUnusable",
]


class TrustError(HostError):
    """A failure of keys, signatures or trust."""

    default_code = "trust"


class KeyUnusable(TrustError, ValueError):
    """A key file is missing, readable by others, damaged, or its passphrase is wrong."""

    default_code = "key-unusable"


class SignatureUnusable(TrustError, ValueError):
    """A signature is damaged, not by the key it names, expired, or over something else."""

    default_code = "signature-unusable"


class TrustStoreUnusable(TrustError, ValueError):
    """A trust store cannot be read as one."""

    default_code = "trust-store-unusable"


class NotTrusted(TrustError):
    """No signature that the host trusts for this name stands on the component."""

    default_code = "not-trusted"


class ComponentBlocked(TrustError):
    """The component, or the key that signed it, is blocked."""

    default_code = "component-blocked"


class DowngradeRefused(TrustError):
    """A lower version than the name has had."""

    default_code = "downgrade-refused"
