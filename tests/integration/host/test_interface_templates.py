"""The packages of `wit/templates`: each is documented, and each has an example that works."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from airssys.wasm import BlockingDeployment, GuestError, Host, WitError

ROOT = Path(__file__).parents[3]
TEMPLATES = sorted((ROOT / "wit" / "templates").glob("*/*.wit"))
BUILT = ROOT / "build" / "components"
PLUGINS = ROOT / "examples" / "plugins"
PAGE = ROOT / "docs" / "guides" / "interface-templates.md"
#: What begins an item of WIT that is to be documented.
ITEM = re.compile(r"^ *(?:(?:interface|world|record|variant|enum|type) \S+|[a-z-]+: func\()")


#: The interface that each exports.
INTERFACES = {
    "web-handler": "handler",
    "event-transform": "transform",
    "validator": "validate",
    "agent-tool": "tool",
    "device-driver": "driver",
    "scheduler-job": "job",
    "etl-stage": "stage",
    "game-entity": "entity",
    "payment-rule": "rule",
    "notifier": "notify",
}


@dataclasses.dataclass
class Plugin:
    """A plug-in, whose functions are called by their names."""

    deployment: BlockingDeployment
    interface: str

    def call(self, function: str, *arguments: object) -> Any:
        return self.deployment.call(f"{self.interface}#{function}", *arguments)


class Sent:
    """A channel that takes what is for people whom it knows."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def send(self, to: str, text: str) -> str:
        if to == "nobody":
            raise WitError("unknown address")
        self.messages.append((to, text))
        return str(len(self.messages))


@pytest.fixture(scope="module")
def sent() -> Sent:
    return Sent()


@pytest.fixture(scope="module")
def host(tmp_path_factory, sent):
    state = tmp_path_factory.mktemp("plugins")
    provides = {"plugin:notifier/channel@1.0.0": {"send": sent.send}}
    with Host.open_blocking(state, provides=provides) as opened:
        yield opened


@pytest.fixture
def plugin(host):
    """Deploy the example of a template; its functions by their names."""

    def deployed(name: str):
        file = BUILT / f"plugin-{name}.wasm"
        if not file.exists() and not (PLUGINS / name / "app.py").exists():
            pytest.skip("the examples in JavaScript are not built: they need Node.js")
        deployment = host.deploy(file, name=f"plugins/{name}", lifetime="pooled")
        return Plugin(deployment, f"plugin:{name}/{INTERFACES[name]}@1.0.0")

    return deployed


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_every_item_is_documented_and_the_page_lists_the_package(file):
    lines = file.read_text("utf-8").splitlines()
    assert lines[0] == f"package plugin:{file.stem}@1.0.0;"
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if ITEM.match(line) and not before.strip().startswith("///")
    ]
    assert bare == []
    assert f"`plugin:{file.stem}`" in PAGE.read_text("utf-8")
    assert (PLUGINS / file.stem / "wit" / file.name).resolve() == file


def test_web_handler(plugin):
    handler = plugin("web-handler")
    request = {"method": "GET", "path": "/hello", "query": [("name", "Ada")], "body": b""}
    answer = handler.call("handle", {**request, "user": None})
    assert (answer.status, answer.body) == (200, b"Hello, Ada!")
    assert handler.call("handle", {**request, "user": "Žofie"}).body.decode() == "Hello, Žofie!"
    assert handler.call("handle", {**request, "user": None, "path": "/other"}) is None
    assert handler.call("handle", {**request, "user": None, "method": "PUT"}).status == 405


def test_event_transform(plugin):
    transform = plugin("event-transform")
    event = {"id": "7", "kind": "order.paid", "time": 1_700_000_000_000}
    made = transform.call("apply", {**event, "data": '{"items": ["tea", {"milk": 2}]}'})
    assert [(each.id, each.kind, each.time) for each in made] == [
        ("7/0", "item.sold", event["time"]),
        ("7/1", "item.sold", event["time"]),
    ]
    assert [json.loads(each.data) for each in made] == ["tea", {"milk": 2}]
    assert transform.call("apply", {**event, "kind": "order.seen", "data": ""}) == []
    with pytest.raises(GuestError, match="without items"):
        transform.call("apply", {**event, "data": "{}"})


def test_validator(plugin):
    validator = plugin("validator")

    def problems(document: str) -> list[tuple[str, str]]:
        return [(each.severity.name, each.place) for each in validator.call("check", document)]

    assert problems('{"name": "Ada", "city": "London", "email": "ada@example.org"}') == []
    assert problems('{"name": " ", "city": 1}') == [
        ("ERROR", "/name"),
        ("ERROR", "/city"),
        ("WARNING", "/email"),
    ]
    assert problems("{") == [("ERROR", "")]


def test_agent_tool(plugin):
    tool = plugin("agent-tool")
    described = tool.call("describe")
    assert (described.name, described.read_only) == ("convert_length", True)
    assert json.loads(described.parameters)["required"] == ["value", "from", "to"]
    made = tool.call("call", json.dumps({"value": 26.2, "from": "mi", "to": "km"}))
    assert json.loads(made) == {"value": pytest.approx(42.1648), "unit": "km"}
    with pytest.raises(GuestError, match="parsec"):
        tool.call("call", json.dumps({"value": 1, "from": "parsec", "to": "km"}))


def test_device_driver(plugin):
    driver = plugin("device-driver")
    assert driver.call("request") == b"\x2a\x01"
    frame = bytes([0x2A, 0x04, 0xC3, 0x01, 0xC2])
    readings = driver.call("decode", frame + bytes([sum(frame[1:]) & 0xFF]))
    assert [(each.quantity, pytest.approx(each.value), each.unit) for each in readings] == [
        ("temperature", 21.9, "Cel"),
        ("humidity", 45.0, "%"),
    ]
    for broken, said in ((frame, "1"), (frame + b"\0", "Corrupt"), (b"\xff\x07\0\0\0\0", "7")):
        with pytest.raises(GuestError, match=said):
            driver.call("decode", broken)


def test_scheduler_job(plugin):
    job = plugin("scheduler-job")
    hour = 3_600_000
    assert job.call("next", 5 * hour - 1) == 5 * hour
    assert job.call("next", 5 * hour) == 6 * hour
    done = job.call("run", 5 * hour)
    assert (type(done).__name__, done.value) == ("Done", "hour 5")
    with pytest.raises(GuestError, match="was done"):
        job.call("run", 5 * hour)
    assert job.call("run", 5 * hour + 1).value == 6 * hour


def test_etl_stage(plugin):
    stage = plugin("etl-stage")
    assert stage.call("columns", ["price", "pieces"]) == ["price", "pieces", "total"]
    value = stage.deployment.component.types[f"{stage.interface}#value"]
    rows = [[value.Number(2.5), value.Integer(4)], [value.Missing(), value.Integer(1)]]
    batch = stage.call("process", rows)
    assert [[each.value for each in row] for row in batch.rows] == [[2.5, 4, 10.0]]
    assert [each.position for each in batch.rejected] == [1]
    with pytest.raises(GuestError, match="price and pieces"):
        stage.call("columns", ["name"])


@pytest.mark.timeout(300)  # a machine that never saw an interpreter of Python compiles it
def test_game_entity(plugin):
    wolf = plugin("game-entity")

    def thing(number: int, kind: str, x: float, y: float) -> dict[str, object]:
        still = {"x": 0.0, "y": 0.0}
        return {"id": number, "kind": kind, "position": {"x": x, "y": y}, "velocity": still}

    me, tree = thing(1, "wolf", 0.0, 0.0), thing(2, "tree", 1.0, 0.0)
    assert wolf.call("think", me, [tree], 7) == []
    (move,) = wolf.call("think", me, [tree, thing(3, "sheep", 0.0, 6.0)], 7)
    assert (move.value.x, move.value.y) == (0.0, 3.0)
    howl, bite = wolf.call("think", me, [thing(3, "sheep", 0.5, 0.0)], 2000)
    assert (howl.value, bite.value) == ("howl", 3)


def test_payment_rule(plugin):
    rule = plugin("payment-rule")
    payment = {"id": "1", "amount": 1200, "currency": "EUR", "country": "DE", "recent": 0}

    def decided(**changes: object) -> str:
        return type(rule.call("decide", payment | changes)).__name__.lower()

    assert decided() == "allow"
    assert decided(amount=60_000) == "allow"
    assert decided(amount=60_000, country="SE") == "review"
    assert decided(recent=21) == "review"
    assert decided(amount=1_000_001) == "deny"


def test_notifier(plugin, sent):
    notifier = plugin("notifier")
    notice = {"recipient": "ada", "urgency": "high", "title": "Fire", "text": "in the hall"}
    assert notifier.call("deliver", notice) == "1"
    assert sent.messages == [("ada", "! Fire\nin the hall")]
    assert notifier.call("deliver", notice | {"urgency": "low"}) is None
    with pytest.raises(GuestError, match="unknown address"):
        notifier.call("deliver", notice | {"recipient": "nobody"})
    assert len(sent.messages) == 1
