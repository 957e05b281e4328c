"""Puppets on a message plane, before one gate with one audit log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

from airssys._core import AuditLog, AuditReader, Gate, MessageRights, Plane, Subject
from airssys.errors import AirsSysError
from airssys.wasm import Component, Engine, Wasi
from airssys.wasm.wasi import Directory

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
PREFIX = b"\x80\x04"


class Record(NamedTuple):
    """What a test looks at of a record."""

    who: str
    callers: list[str]
    op: str
    target: str
    decision: str
    rule: str


def failure(code: str, message: str, context: dict[str, Any]) -> AirsSysError:
    return AirsSysError(message, code=code, **context)


def load(name: str) -> Component:
    """A component of `components/`."""
    return Engine().load(COMPONENTS / f"{name}.wasm")


def script(*actions: Any, tag: str | None = None) -> bytes:
    """The message that makes a puppet do this."""
    body: dict[str, Any] = {"do": list(actions)}
    if tag is not None:
        body["tag"] = tag
    return PREFIX + json.dumps(body).encode()


class Deputies:
    """A plane, a gate, and what happened."""

    def __init__(self, folder: Path, component: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self._component = component
        self._log_folder = folder / "audit"

    def open(self) -> None:
        self.log = AuditLog(self._log_folder)
        self.gate = Gate(self.log)
        self.plane = Plane(failure)
        self.crossed: list[tuple[Any, ...]] = []
        self.bridge = self.plane.connect(self.crossed.extend, lambda _events: None)

    def close(self) -> None:
        self.bridge.close()
        self.plane.close()
        self.log.close()

    def grant(self, who: str, kind: str, access: str, *targets: str, **more: Any) -> dict[str, Any]:
        """A rule that allows; `load` puts some in force."""
        return {
            "effect": "allow",
            "principals": [f"name:{who}"],
            "kind": kind,
            "targets": list(targets),
            "access": access.split(),
        } | more

    def files(self, who: str, access: str, name: str = "**", **more: Any) -> dict[str, Any]:
        return self.grant(who, "filesystem", access, f"{self.data}/{name}", **more)

    def talk(self, who: str) -> dict[str, Any]:
        """The right to reach everybody."""
        return self.grant(who, "messaging", "*", "**")

    def load(self, *rules: dict[str, Any]) -> None:
        numbered = [{"id": f"r{number}"} | rule for number, rule in enumerate(rules)]
        self.gate.load(json.dumps({"schema": 1, "rules": numbered}).encode())

    def subject(self, name: str, **more: Any) -> Subject:
        return Subject(name, deployment=name, guest=True, **more)

    async def actor(self, name: str, key: str = "", *, component: Any = None, **more: Any) -> Any:
        """Start a puppet that is `name` for rules, and sees the folder of data as `/data`."""
        subject = self.subject(name, **more)
        wasi = Wasi(
            directories={"/data": Directory(self.data, write=True)}, rules=(self.gate, subject)
        )
        actor = self.plane.spawn(
            f"{name}#{key}" if key else name,
            (component or self._component)._native,
            wasi=wasi.native,
            gate=MessageRights.by_rules(self.gate, subject),
        )
        await actor.start()
        return actor

    async def do(self, actor: Any, *actions: Any) -> list[Any]:
        """Let a puppet do this; what came of each."""
        answer = await actor.ask(script(*actions), 30.0)
        assert answer is not None
        return json.loads(answer.removeprefix(PREFIX))

    async def via(self, actor: Any, target: str, *actions: Any) -> list[Any]:
        """Let a puppet ask another one to do this."""
        (outcome,) = await self.do(actor, ["ask", target, {"do": list(actions)}, 30])
        return outcome["ok"]

    def records(self, kind: str, timeout: float = 0.0) -> list[Record]:
        """The decisions about a kind, in order; waits so long for the first."""
        return [
            Record(
                line.get("principal", ""),
                line.get("chain", []),
                line["op"],
                line["target"],
                line["decision"],
                line.get("rule", ""),
            )
            for line in self.lines(kind, timeout)
        ]

    def lines(self, kind: str, timeout: float = 0.0) -> list[dict[str, Any]]:
        """The records about a kind as they are written."""
        self.log.flush()
        reader = AuditReader(self._log_folder, operation=kind)
        return [json.loads(line) for line in reader.read(100_000, timeout)]

    def log_bytes(self) -> bytes:
        """All that the log has written."""
        self.log.flush()
        segments = [each for each in self._log_folder.rglob("*") if each.is_file()]
        return b"".join(each.read_bytes() for each in segments)

    async def wait_for(self, kind: str) -> list[Record]:
        """The decisions about a kind, once there are any."""
        return await asyncio.to_thread(self.records, kind, 30.0)
