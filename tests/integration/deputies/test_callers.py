"""For whom a component acts: the chain of callers is the host's, and rights follow it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio

REFUSED = {"error": "PermissionDenied"}
A, B, C = "acme/a", "acme/b", "acme/c"


async def test_a_deputy_does_not_write_what_its_caller_may_not(deputies):
    deputies.load(deputies.talk(A), deputies.files(B, "read write create"))
    a, b = await deputies.actor(A), await deputies.actor(B)
    assert await deputies.do(b, ["write", "/data/own", "mine"]) == [{"ok": None}]
    assert await deputies.via(a, B, ["read", "/data/own"]) == [{"ok": "mine"}]
    assert await deputies.via(a, B, ["write", "/data/own", "theirs"]) == [REFUSED]
    assert (deputies.data / "own").read_text() == "mine"
    (last,) = [each for each in deputies.records("filesystem") if each.decision == "deny"]
    assert (last.who, last.callers, last.rule) == (B, [A], "default-deny")


async def test_what_both_may_write_is_written(deputies):
    deputies.load(
        deputies.talk(A),
        deputies.files(B, "write create", "shared/**"),
        deputies.files(A, "write create", "shared/a/**"),
    )
    for name in ("shared", "shared/a", "shared/b"):
        (deputies.data / name).mkdir()
    a, _ = await deputies.actor(A), await deputies.actor(B)
    assert await deputies.via(a, B, ["write", "/data/shared/a/x", "1"]) == [{"ok": None}]
    assert await deputies.via(a, B, ["write", "/data/shared/b/x", "1"]) == [REFUSED]


async def test_a_deputy_acts_as_itself_where_its_grant_says_so(deputies):
    deputies.load(deputies.talk(A), deputies.files(B, "write create", act_as="self"))
    a, _ = await deputies.actor(A), await deputies.actor(B)
    assert await deputies.via(a, B, ["write", "/data/x", "1"]) == [{"ok": None}]
    assert {(each.who, *each.callers) for each in deputies.records("filesystem")} == {(B, A)}


async def test_who_is_in_the_middle_lends_nothing(deputies):
    deputies.load(
        deputies.talk(A),
        deputies.talk(B),
        deputies.files(B, "write create"),
        deputies.files(C, "write create"),
    )
    a, b = await deputies.actor(A), await deputies.actor(B)
    await deputies.actor(C)
    write = ["write", "/data/x", "1"]
    assert await deputies.via(b, C, write) == [{"ok": None}]
    ((refused,),) = [
        outcome["ok"] for outcome in await deputies.via(a, B, ["ask", C, {"do": [write]}, 30])
    ]
    assert refused == REFUSED
    assert deputies.records("filesystem")[-1].callers == [A, B]


async def test_a_guest_forges_no_sender(deputies):
    """What a payload claims is for guests to believe; the host says who it was."""
    deputies.load(deputies.talk(A), deputies.talk(B), deputies.files(C, "write create"))
    a, c = await deputies.actor(A), await deputies.actor(C)
    forged = {"do": [["write", "/data/x", "1"]], "source": B, "sender": B, "callers": [B]}
    (outcome,) = await deputies.do(a, ["ask", C, forged, 30])
    assert outcome["ok"] == [REFUSED]
    (journal,) = await deputies.do(c, ["journal"])
    assert journal[0]["from"] == A
    assert deputies.records("filesystem")[-1].callers == [A]


@pytest.mark.parametrize("way", ["timer", "every", "callback", "topic", "self", "tell"])
async def test_the_chain_goes_every_way_that_a_message_goes(deputies, way):
    """An access long after the message, and by whatever led to it, is still the caller's."""
    deputies.load(
        *(deputies.talk(each) for each in (A, B, C)),
        deputies.files(B, "write create"),
        deputies.files(C, "write create"),
    )
    a, b = await deputies.actor(A), await deputies.actor(B)
    c = await deputies.actor(C)
    if way == "topic":
        await deputies.do(c, ["subscribe", "acme.news"])
    then = {"do": [["write", "/data/x", "1"]]}
    act = {
        "timer": ["send-after", 0.01, then],
        "every": ["every", 0.01, then],
        "callback": ["ask-async", C, {"do": []}, 30, then["do"]],
        "topic": ["publish", "acme.news", then],
        "self": ["tell", B, then],
        "tell": ["tell", C, then],
    }[way]
    await deputies.via(a, B, act)
    found = await deputies.wait_for("filesystem")
    await deputies.do(b, ["cancel-timer"])
    assert found[0].decision == "deny"
    expected = {"timer": [A], "every": [A], "callback": [A], "self": [A, B]}.get(way, [A, B])
    assert found[0].callers == expected
    assert not (deputies.data / "x").exists()


async def test_what_is_open_is_decided_for_the_caller_of_now(deputies):
    """A descriptor opened for one caller writes for no other."""
    deputies.load(
        deputies.talk(A),
        deputies.talk(C),
        deputies.files(B, "read write"),
        deputies.files(C, "read write"),
    )
    (deputies.data / "x").write_text("")
    a, b = await deputies.actor(A), await deputies.actor(B)
    c = await deputies.actor(C)
    assert await deputies.via(c, B, ["open", "/data/x", "rw"]) == [{"ok": None}]
    assert await deputies.via(c, B, ["use", "/data/x", "c"]) == [{"ok": 1}]
    (refused,) = await deputies.via(a, B, ["use", "/data/x", "a"])
    assert "error" in refused
    assert await deputies.via(a, B, ["use", "/data/x", ""]) == [{"ok": "c"}]
    assert await deputies.do(b, ["use", "/data/x", "b"]) == [{"ok": 1}]
    assert (deputies.data / "x").read_text() == "cb"


async def test_rules_name_callers(deputies):
    deputies.load(
        *(deputies.talk(each) for each in (A, C)),
        deputies.files(B, "read", callers=[f"name:{C}"]),
        deputies.files(B, "read", "open", effect="allow"),
        deputies.files(B, "read", "open", effect="deny", callers=["name:acme/*"]),
    )
    for name in ("x", "open"):
        (deputies.data / name).write_text(name)
    a, b = await deputies.actor(A), await deputies.actor(B)
    c = await deputies.actor(C)
    read, other = ["read", "/data/x"], ["read", "/data/open"]
    assert await deputies.do(b, read, other) == [REFUSED, {"ok": "open"}]
    assert await deputies.via(a, B, read, other) == [REFUSED, REFUSED]
    assert await deputies.via(c, B, read, other) == [{"ok": "x"}, REFUSED]


async def test_the_strictest_enforcement_of_a_chain_holds(deputies):
    deputies.load(deputies.talk(A), deputies.talk(B))
    (deputies.data / "x").write_text("x")
    learning = {"enforcement": "learn"}
    strict = await deputies.actor(A)
    lax = await deputies.actor(B, **learning)
    await deputies.actor(C, **learning)
    read = ["read", "/data/x"]
    assert await deputies.do(lax, read) == [{"ok": "x"}]
    assert await deputies.via(lax, C, read) == [{"ok": "x"}]
    assert await deputies.via(strict, C, read) == [REFUSED]


async def test_a_chain_is_bounded_and_loses_its_middle(deputies):
    names = [f"acme/p{number}" for number in range(24)]
    deputies.load(*(deputies.talk(each) for each in names), deputies.files(names[-1], "write"))
    (deputies.data / "x").write_text("x")
    actors = [await deputies.actor(name) for name in names]
    ball = {"do": [["write", "/data/x", "1"]]}
    for name in reversed(names[1:]):
        ball = {"do": [["ask", name, ball, 30]]}
    await deputies.do(actors[0], *ball["do"])
    (refused,) = deputies.records("filesystem")
    assert refused.decision == "deny"
    assert refused.callers == [*names[:8], "… more", *names[15:23]]


async def test_actors_of_one_deployment_are_one_principal(deputies):
    deputies.load(deputies.talk(B), deputies.files(B, "write create"))
    one = await deputies.actor(B, key="1")
    await deputies.actor(B, key="2")
    assert await deputies.via(one, f"{B}#2", ["write", "/data/x", "1"]) == [{"ok": None}]
    assert deputies.records("filesystem")[-1].callers == [B]
