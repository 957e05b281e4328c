"""By what a host decides about its components."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airssys.osl import OSL, Policy
from airssys.osl.errors import OslError
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.security.checkpoints import explained_gap

if TYPE_CHECKING:
    from pathlib import Path

    from airssys.osl import Approver
    from airssys.wasm.registry import Registry
    from airssys.wasm.secrets import SecretSource
    from airssys.wasm.security.approval_desk import ApprovalDesk

__all__ = ["PolicyGiven", "SecuritySettings"]

#: A policy file, several, or a policy made in Python.
PolicyGiven = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Policy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """By what a host decides about its components; see `Host.open`.

    Raises:
        InvalidSetting: `osl` is given beside what is its own.
    """

    policy: PolicyGiven | None = None
    osl: OSL | None = None
    approver: Approver | None = None
    approval_timeout: float = 60.0
    development: bool = False
    secrets: SecretSource | None = None

    def __post_init__(self) -> None:
        own = (self.policy, self.approver) != (None, None) or self.development
        if self.osl is not None and own:
            raise InvalidSetting(
                "`osl` does not go with `policy`, `approver` and `development`",
                hint="give them to the OSL, or leave it out and the host makes its own",
            )

    def open(self, state: Path, registry: Registry, desk: ApprovalDesk) -> OSL:
        """Return the system that decides: the one that was given, or one of the host's own.

        Args:
            state: The state directory.
            registry: Has the last checkpoint of the log of a system of the host's own.
            desk: Asks people for a system of the host's own.

        Raises:
            AuditTruncated: The log is behind that checkpoint, or another one.
        """
        if self.osl is not None:
            return self.osl
        try:
            return OSL(
                policy=Policy() if self.policy is None else self.policy,
                audit=state / "audit",
                reserved=[state],
                approver=desk,
                approval_timeout=self.approval_timeout,
                checkpoint=registry.audit_checkpoint(),
                on_checkpoint=registry.record_audit_checkpoint,
                development=self.development,
            )
        except OslError as error:
            raise explained_gap(error, state) from None
