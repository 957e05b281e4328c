"""What reads hostile bytes in Python, one function per fuzz target.

A target returns for every input, or the input has found a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz_targets.manifests import component_manifest, embedded_manifest, host_manifest
from fuzz_targets.payloads import payloads
from fuzz_targets.policies import policy
from fuzz_targets.suggestions import suggestions
from fuzz_targets.trust_files import signatures, trust_files

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TARGETS"]

#: The targets by name, which is also that of their folder of inputs.
TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        component_manifest,
        host_manifest,
        embedded_manifest,
        policy,
        suggestions,
        signatures,
        trust_files,
        payloads,
    )
}
