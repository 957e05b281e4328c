"""A pipeline with a real gate and a real log, and a look at what it recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airssys.osl import OSL, AccessDenied, OslError, read_records

if TYPE_CHECKING:
    from pathlib import Path


class World:
    """A directory to work in, beside the log of whoever works there."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "world"
        self.root.mkdir()
        self.log = tmp_path / "audit"
        self.policy = tmp_path / "policy.toml"
        self._open = []

    def system(self, policy: str = "", **options) -> OSL:
        """Open a pipeline; `{root}` in the policy is the directory to work in."""
        self.policy.write_text(policy.replace("{root}", str(self.root)))
        system = OSL(policy=self.policy, audit=self.log, **options)
        self._open.append(system)
        return system

    def allowing(self, *accesses: str, to: str = "alice", **options) -> OSL:
        """Open a pipeline in which `to` may do `accesses` with everything below the directory."""
        return self.system(rule(accesses, to=to), **options)

    def records(self, **filters):
        if self._open:
            self._open[-1].audit.flush()
        return list(read_records(self.log, **filters))

    def decisions(self, **filters):
        """Return (operation, target, decision) of each decision, `{root}` for the directory."""
        return [
            (record.operation, record.target.replace(str(self.root), "{root}"), record.decision)
            for record in self.records(**filters)
            if record.decision in {"allow", "deny", "ask", "observed"}
        ]

    def refused(self, act, system, function):
        """Assert that it is refused and that this put a record there; return the record."""
        before = self._denials()
        with pytest.raises((AccessDenied, OSError, OslError)):
            act(system, function)
        after = self._denials()
        assert len(after) > len(before), "no record of the refusal"
        return after[-1]

    def _denials(self):
        return [record for record in self.records() if record.decision == "deny"]

    def close(self) -> None:
        for system in self._open:
            system.close()
        self._open.clear()


def rule(accesses, *, to="alice", kind="filesystem", target="{root}/**", effect="allow", more=""):
    listed = ", ".join(f'"{access}"' for access in accesses)
    return (
        f'[[rule]]\nto = ["{to}"]\nkind = "{kind}"\naccess = [{listed}]\n'
        f'target = ["{target}"]\neffect = "{effect}"\n{more}\n'
    )


ALL = ("read", "write", "create", "delete", "list", "metadata", "execute")
