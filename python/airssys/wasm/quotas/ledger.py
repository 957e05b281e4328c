"""The accounts of a host: its own, those of its namespaces, and those of its deployments."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from airssys.wasm._native import _core
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.quotas.ceilings import Ceilings, HostCeilings
from airssys.wasm.quotas.reports import Reports
from airssys.wasm.quotas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Ledger", "usage_of"]


@dataclasses.dataclass(slots=True)
class _Namespace:
    account: _core.Account
    deployments: int = 0
    #: What deployments used that are gone.
    gone: Usage = dataclasses.field(default_factory=Usage)


class Ledger:
    """Keeps the accounts of a host. Every method may be called by any thread.

    Args:
        ceilings: The most that the host and its namespaces may use.

    Attributes:
        account: The account of the host.
        reports: Who is told of limits.
    """

    def __init__(self, ceilings: HostCeilings | None = None) -> None:
        self.ceilings = ceilings or HostCeilings()
        self.account = _core.Account("host")
        _bound(self.account, self.ceilings)
        self.reports = Reports(self.account)
        self._namespaces: dict[str, _Namespace] = {}
        self._one_change = threading.Lock()

    def open(self, deployment: str) -> _core.Account:
        """Return the account of a deployment that has none yet."""
        name = namespace_of(deployment)
        with self._one_change:
            namespace = self._namespaces.get(name)
            if namespace is None:
                account = _core.Account(f"namespace {name}", self.account)
                _bound(account, self.ceilings.namespaces.get(name, Ceilings()))
                namespace = self._namespaces[name] = _Namespace(account)
            namespace.deployments += 1
            return _core.Account(f"deployment {deployment}", namespace.account)

    def end(self, deployment: str, used: Usage) -> None:
        """Add what a deployment used that is no more to what its namespace did."""
        with self._one_change:
            namespace = self._namespaces[namespace_of(deployment)]
            namespace.deployments -= 1
            kept = dataclasses.replace(used, storage_bytes=0)
            namespace.gone = Usage(**Usage.sums((namespace.gone, kept)))  # type: ignore[arg-type]

    def namespace_usage(self, name: str, parts: Iterable[Usage]) -> Usage:
        """Return what a namespace used, of whose deployments `parts` are what they used."""
        with self._one_change:
            namespace = self._namespaces.get(name)
        if namespace is None:
            return Usage(ceilings=self.ceilings.namespaces.get(name, Ceilings()))
        return usage_of(namespace.account, Usage.sums((namespace.gone, *parts)))

    def host_usage(self, parts: Iterable[Usage]) -> Usage:
        """Return what the host used, of whose deployments `parts` are what they used."""
        with self._one_change:
            gone = [each.gone for each in self._namespaces.values()]
        return usage_of(self.account, Usage.sums((*gone, *parts)))

    def close(self) -> None:
        """Report what waits, and end."""
        self.reports.close()


def usage_of(account: _core.Account, sums: dict[str, Any]) -> Usage:
    """Return what an account holds, together with what was counted elsewhere."""
    held = account.usage()
    return Usage(
        **{
            **sums,
            "memory": held["memory"],
            "memory_peak": held["memory_peak"],
            "instances": held["instances"],
            "instances_peak": held["instances_peak"],
            "log_lines_dropped": sums.get("log_lines_dropped", 0) or held["log_lines_lost"],
            "refused": held["hits"],
            "ceilings": Ceilings(
                memory=held["memory_most"],
                instances=held["instances_most"],
                calls_per_second=held["calls_per_second"],
            ),
        }
    )


def _bound(account: _core.Account, ceilings: Ceilings) -> None:
    account.set(
        memory=None if ceilings.memory is None else int(ceilings.memory),
        instances=ceilings.instances,
        calls_per_second=ceilings.calls_per_second,
    )
