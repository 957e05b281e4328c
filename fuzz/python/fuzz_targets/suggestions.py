"""What a component was refused, as the request that a person may paste into its manifest."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

from airssys.errors import AirsSysError
from airssys.osl._native import AuditLog, AuditReader, Gate, Subject
from airssys.osl.audit_log import Record
from airssys.wasm.manifest import parse_component_manifest
from airssys.wasm.manifest.requests import rules_for
from airssys.wasm.security.capability_text import Use, asking_for, capability_text

_ACCESSES = {
    "filesystem": ("read", "write", "create", "delete", "list", "metadata", "execute"),
    "network": ("connect", "listen", "resolve"),
    "http": ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"),
    "storage": ("read", "write", "delete", "list"),
    "messaging": ("send", "ask", "broadcast", "publish", "subscribe"),
    "process": ("spawn", "signal", "wait"),
    "environment": ("read",),
    "secret": ("use",),
    "custom": ("use",),
}
_KINDS = tuple(_ACCESSES)
_HEAD = 'schema = 1\n[component]\nname = "acme/fuzzed"\nversion = "1.0.0"\n'
#: A longer target is cut in the log.
_LONGEST = 4096
_INPUTS_PER_LOG = 5000


class _World:
    """A gate and its log, which is replaced before it gets large."""

    def __init__(self) -> None:
        self._turns = itertools.count()
        self._folder = Path(tempfile.mkdtemp(prefix="airssys-fuzz-"))
        self._log: AuditLog | None = None
        self.subject = Subject("acme/fuzzed")
        self.gate = self._begin()

    def turn(self) -> None:
        """Begin with another input."""
        if next(self._turns) % _INPUTS_PER_LOG == _INPUTS_PER_LOG - 1:
            self.gate = self._begin()

    def refused(self, kind: str, access: str, target: str) -> str | None:
        """Return the target of an access as the log has it; None for what is no target."""
        self.gate.load(b'{"schema": 1, "rules": []}')
        try:
            decision = self.gate.decide(self.subject, kind, access, target)
        except AirsSysError:
            return None
        if decision.rule != "default-deny":
            return None
        (line,) = AuditReader(self._folder / "log", after=decision.sequence - 1).read(1)
        return Record.parse(line).target

    def _begin(self) -> Gate:
        if self._log is not None:
            self._log.close()
            shutil.rmtree(self._folder / "log")
        self._log = AuditLog(self._folder / "log", key=bytes(32))
        return Gate(self._log)


_worlds: list[_World] = []


def suggestions(data: bytes) -> None:
    """Suggest a request for an access; it is one of a manifest, and covers the access.

    Input: a byte for the kind, one for the access, the target.
    """
    if len(data) < 3:
        return
    kind = _KINDS[data[0] % len(_KINDS)]
    access = _ACCESSES[kind][data[1] % len(_ACCESSES[kind])]
    asked = data[2:].decode(errors="ignore")
    if not _worlds:
        _worlds.append(_World())
    world = _worlds[0]
    world.turn()
    target = world.refused(kind, access, asked)
    if target is None or len(target.encode()) >= _LONGEST:
        return
    # Keys are those of the component itself, or come after `@` and the name of their owner.
    if kind == "storage" and not (target.startswith("self/") or target.count("/@/") == 1):
        return
    wanted = asking_for([Use(kind, access, target)])
    text = capability_text(wanted)
    manifest = parse_component_manifest(_HEAD + text)
    if manifest.capabilities != wanted:
        raise AssertionError(f"{wanted} is written as {text!r}")
    world.gate.load(rules_for(manifest, "acme/fuzzed"))
    explained = world.gate.explain(world.subject, kind, access, asked)
    led_nowhere_yet = any("was not resolved" in why for _, _, why in explained.matched)
    if explained.effect != "allow" and not led_nowhere_yet:
        raise AssertionError(f"{kind}.{access} {target!r} is not covered by {text!r}")
