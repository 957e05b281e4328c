"""`airssys:security`: a component asks what it may do, and writes records that are its own."""

from __future__ import annotations

import json

import pytest
from deputy_world import load, script

pytestmark = pytest.mark.anyio

A, B = "acme/a", "acme/b"


async def test_a_component_sees_its_rights_as_it_would_use_them(deputies):
    deputies.load(
        deputies.files(A, "read list", "in/**"),
        deputies.grant(A, "filesystem", "read", "/etc/hostname"),
        deputies.grant(A, "http", "GET", "https://example.com/v1/**"),
        deputies.files(B, "write"),
        deputies.files(A, "write", effect="deny"),
    )
    a = await deputies.actor(A)
    (mine,) = await deputies.do(a, ["mine"])
    assert sorted(mine) == [
        ["filesystem", "list", "/data/in/**"],
        ["filesystem", "read", "/data/in/**"],
        ["http", "GET", "https://example.com/v1/**"],
    ]


async def test_a_check_says_what_the_gate_would_and_leaves_no_record(deputies):
    deputies.load(
        deputies.files(A, "read", "in/**"),
        deputies.files(A, "read", "ask/**", effect="require-approval"),
        deputies.files(A, "read", "in/not", effect="deny", id="not-this"),
    )
    a = await deputies.actor(A)
    before = len(deputies.records("filesystem"))
    answers = await deputies.do(
        a,
        ["check", "filesystem", "read", "/data/in/x"],
        ["check", "filesystem", "read", "/data/in/not"],
        ["check", "filesystem", "write", "/data/in/x"],
        ["check", "filesystem", "read", "/data/ask/x"],
        ["check", "filesystem", "read", "/data/in/../ask/x"],
        ["check", "filesystem", "read", "/etc/passwd"],
        ["check", "filesystem", "fly", "/data/x"],
        ["check", "weather", "read", "/data/x"],
    )
    assert answers[:4] == [
        "allowed",
        {"denied": "not-this"},
        {"denied": "default-deny"},
        "needs-approval",
    ]
    assert [each["error"] for each in answers[4:]] == [
        "invalid-target",
        "invalid-target",
        "unknown-access",
        "unknown-access",
    ]
    assert "one of filesystem, network" in answers[7]["detail"]
    assert len(deputies.records("filesystem")) == before


async def test_a_check_is_for_the_caller_of_now(deputies):
    deputies.load(deputies.talk(A), deputies.files(B, "write"))
    a, b = await deputies.actor(A), await deputies.actor(B)
    check = ["check", "filesystem", "write", "/data/x"]
    assert await deputies.do(b, check) == ["allowed"]
    assert await deputies.via(a, B, check) == [{"denied": "default-deny"}]


async def test_a_request_that_nobody_may_answer_is_refused_and_recorded(deputies):
    deputies.load(deputies.files(A, "read", effect="require-approval", id="by-hand"))
    a = await deputies.actor(A)
    (refused,) = await deputies.do(a, ["request", "filesystem", "read", "/data/x", "for you"])
    assert refused == {"error": "denied", "detail": "by-hand"}
    assert [(each.who, each.decision) for each in deputies.records("filesystem")] == [(A, "ask")]


async def test_what_a_component_says_is_marked_escaped_and_bounded(deputies):
    deputies.load(deputies.talk(A))
    a, b = await deputies.actor(A), await deputies.actor(B)
    forged = '{"op":"gate.load"}\n\x1b[2J\u202edetour'
    results = await deputies.do(
        b,
        ["emit", forged, {"who": "root", "tür": "zu\n"}],
        ["emit", "", {}],
        ["emit", "x" * 257, {}],
        ["emit", "x", {"y": "z" * 5000}],
    )
    assert results == [{"ok": None}, *[{"error": "too-large"}] * 3]
    await deputies.via(a, B, ["emit", "asked", {}])
    first, second = deputies.lines("guest")
    assert (first["principal"], first["guest"], first["op"]) == (B, True, "guest.says")
    assert first["decision"] == "said"
    assert first["target"] == forged
    assert json.loads(first["detail"]) == {"who": "root", "tür": "zu\n"}
    assert second["chain"] == [A]
    text = deputies.log_bytes()
    for dangerous in (b"\x1b", "\u202e".encode(), b'\n{"op":"gate'):
        assert dangerous not in text


async def test_a_component_that_says_too_much_is_told_so_and_nobody_else(deputies):
    """However many instances it has."""
    deputies.load()
    one, two = await deputies.actor(A, key="1"), await deputies.actor(A, key="2")
    other = await deputies.actor(B)
    flood = [["emit", "x", {}]] * 150
    said = await deputies.do(one, *flood) + await deputies.do(two, *flood)
    accepted = said.count({"ok": None})
    assert 100 <= accepted < 300
    assert said.count({"error": "too-many"}) == 300 - accepted
    assert await deputies.do(other, ["emit", "y", {}]) == [{"ok": None}]
    assert len(deputies.records("guest")) == accepted + 1


async def test_without_rules_there_is_nothing_to_ask(deputies, puppet):
    actor = deputies.plane.spawn("acme/unruled", puppet._native)
    await actor.start()
    answers = json.loads(
        (await actor.ask(script(["mine"], ["check", "clock", "use", ""], ["emit", "x", {}]), 30.0))[
            2:
        ]
    )
    assert answers[0] == []
    assert "no rules decide" in answers[1]["detail"]
    assert answers[2] == {"error": "unavailable"}


@pytest.mark.timeout(300)  # its first compilation takes long on a busy machine
async def test_a_guest_in_python_asks_and_records(deputies):
    deputies.load(
        deputies.files("acme/python", "read", "in/**"),
        deputies.files("acme/python", "write", effect="require-approval", id="by-hand"),
    )
    guest = await deputies.actor("acme/python", component=load("rights-python"))

    async def ask(request: object) -> object:
        answer = await guest.ask(b"\x80\x04" + json.dumps(request).encode(), 30.0)
        return json.loads(answer[2:])

    assert await ask("mine") == [["filesystem", "read", "/data/in/**"]]
    assert await ask({"check": ["filesystem", "read", "/data/in/x"]}) == "allowed"
    assert await ask({"check": ["filesystem", "list", "/data"]}) == ["denied", "default-deny"]
    refused = await ask({"request": ["filesystem", "write", "/data/x"], "reason": "please"})
    assert refused == {"error": ["denied", "by-hand"]}
    assert await ask({"emit": "hello", "fields": {"a": "b"}}) == "recorded"
    (said,) = deputies.lines("guest")
    assert (said["principal"], said["target"], said["detail"]) == (
        "acme/python",
        "hello",
        '{"a":"b"}',
    )
