"""Ways in that rest on others, and rights that are used after they were taken away."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest
from deputy_race import lend_nothing

pytestmark = pytest.mark.anyio

A, B, C = "acme/a", "acme/b", "acme/c"


def failed(outcome: object) -> bool:
    return isinstance(outcome, dict) and "error" in outcome


async def test_a_file_is_not_read_on(deputies):
    (deputies.data / "x").write_text("secret")
    right = deputies.files(A, "read")
    deputies.load(right)
    a = await deputies.actor(A)
    assert await deputies.do(a, ["open", "/data/x", "r"], ["use", "/data/x", ""]) == [
        {"ok": None},
        {"ok": "secret"},
    ]
    deputies.load()
    assert failed((await deputies.do(a, ["use", "/data/x", ""]))[0])
    assert deputies.records("filesystem")[-1].decision == "deny"


async def test_a_directory_that_is_open_opens_nothing_more(deputies):
    """The mount itself stays in the guest's hand."""
    (deputies.data / "x").write_text("secret")
    itself = deputies.grant(A, "filesystem", "list", str(deputies.data))
    deputies.load(deputies.files(A, "read list metadata"), itself)
    a = await deputies.actor(A)
    assert await deputies.do(a, ["list-files", "/data"], ["read", "/data/x"]) == [
        {"ok": ["x"]},
        {"ok": "secret"},
    ]
    deputies.load()
    assert all(map(failed, await deputies.do(a, ["list-files", "/data"], ["read", "/data/x"])))
    assert [each.decision for each in deputies.records("filesystem")][-2:] == ["deny", "deny"]


async def test_a_connection_carries_nothing_more(deputies):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(30)

        def echo() -> None:
            connection, _ = server.accept()
            with closing(connection):
                while data := connection.recv(1024):
                    connection.sendall(data)

        echoing = threading.Thread(target=echo, daemon=True)
        echoing.start()
        address = "{}:{}".format(*server.getsockname())
        deputies.load(deputies.grant(A, "network", "connect", address))
        a = await deputies.actor(A)
        first = await deputies.do(a, ["connect", address], ["use", address, "ping"])
        assert first == [{"ok": None}, {"ok": "ping"}]
        deputies.load()
        assert failed((await deputies.do(a, ["use", address, "ping"]))[0])
        assert deputies.records("network")[-1].decision == "deny"
        await a.kill()
        echoing.join(10)
        assert not echoing.is_alive()


async def test_a_listener_lets_nobody_in(deputies):
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    address = f"{host}:{port}"
    deputies.load(deputies.grant(A, "network", "listen", address))
    a = await deputies.actor(A)
    with closing(socket.socket()) as one, closing(socket.socket()) as other:
        assert await deputies.do(a, ["listen", address]) == [{"ok": None}]
        one.connect((host, port))
        for _ in range(10_000):  # until the host has heard of it
            (accepted,) = await deputies.do(a, ["use", address, ""])
            if accepted != {"error": "WouldBlock"}:
                break
        assert "ok" in accepted
        other.connect((host, port))  # the kernel's queue takes it
        deputies.load()
        assert failed((await deputies.do(a, ["use", address, ""]))[0])
    assert deputies.records("network")[-1].decision == "deny"
    assert await deputies.do(a, ["close", address]) == [True]


async def test_datagrams_go_nowhere(deputies):
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        address = "{}:{}".format(*server.getsockname())
        deputies.load(deputies.grant(A, "network", "connect", address))
        a = await deputies.actor(A)
        sent = await deputies.do(a, ["datagrams", address], ["use", address, "one"])
        assert sent == [{"ok": None}, {"ok": 3}]
        assert server.recv(10) == b"one"
        deputies.load()
        assert failed((await deputies.do(a, ["use", address, "two"]))[0])
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(10)


@pytest.mark.parametrize("pattern", ["acme.news", "acme.*"])
async def test_a_subscription_brings_nothing_more(deputies, pattern):
    right = deputies.grant(A, "messaging", "subscribe", pattern)
    deputies.load(right)
    a = await deputies.actor(A)
    assert await deputies.do(a, ["subscribe", pattern]) == [{"ok": None}]
    assert deputies.plane.publish("acme.news", b"\x80\x04{}") == (1, 0)
    deputies.load()
    assert deputies.plane.publish("acme.news", b"\x80\x04{}") == (0, 1)
    journal = (await deputies.do(a, ["journal"]))[0]
    assert [each.get("topic") for each in journal].count("acme.news") == 1
    deputies.load(right)
    assert deputies.plane.publish("acme.news", b"\x80\x04{}") == (1, 0)


async def test_a_timer_does_what_may_be_done_when_it_fires(deputies):
    (deputies.data / "x").write_text("")
    deputies.load(deputies.files(A, "write"))
    a = await deputies.actor(A)
    tick = {"do": [["write", "/data/x", "late"]]}
    await deputies.do(a, ["send-after", 0.2, tick])
    deputies.load()
    (found,) = await deputies.wait_for("filesystem")
    assert found.decision == "deny"
    assert (deputies.data / "x").read_text() == ""


async def test_a_way_to_another_actor_is_closed(deputies):
    deputies.load(deputies.talk(A))
    a, _ = await deputies.actor(A), await deputies.actor(B)
    assert await deputies.via(a, B, ["counter"]) == [1]
    deputies.load()
    (outcome,) = await deputies.do(a, ["ask", B, {"do": []}, 30])
    assert outcome["error"] == "not-permitted"


async def test_a_component_does_not_get_by_asking_what_it_may_not(deputies):
    """Whoever it asks, and whatever it says: files, addresses and processes of a deputy's."""
    deputies.load(
        deputies.talk(A),
        deputies.files(B, "read write create delete metadata"),
        deputies.files(A, "read", "public/**"),
    )
    (deputies.data / "public").mkdir()
    (deputies.data / "x").write_text("kept")
    a, _ = await deputies.actor(A), await deputies.actor(B)
    outcomes = await deputies.via(
        a,
        B,
        ["write", "/data/x", "gone"],
        ["write", "/data/new", "x"],
        ["remove", "/data/x"],
        ["rename", "/data/x", "/data/public/x"],
        ["open", "/data/x", "rw"],
    )
    assert all(map(failed, outcomes)), outcomes
    assert [each.name for each in deputies.data.iterdir() if each.is_file()] == ["x"]
    assert (deputies.data / "x").read_text() == "kept"
    denied = [each for each in deputies.records("filesystem") if each.decision == "deny"]
    assert len(denied) >= len(outcomes)
    assert all(each.callers == [A] for each in denied)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_two_callers_at_once_never_lend_each_other_their_rights(tmp_path, seed):
    refused, written = await lend_nothing(tmp_path, seed, rounds=40)
    assert refused
    assert written


async def test_a_tree_is_moved_for_a_caller_only_where_the_deputy_acts_as_itself(deputies):
    tree = deputies.data / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    move = ["rename", "/data/tree", "/data/moved"]
    deputies.load(deputies.talk(A), deputies.files(B, "*"))
    a, _ = await deputies.actor(A), await deputies.actor(B)
    (refused,) = await deputies.via(a, B, move)
    assert "error" in refused
    assert tree.is_dir()
    deputies.load(deputies.talk(A), deputies.files(B, "*", act_as="self"))
    assert await deputies.via(a, B, move) == [{"ok": None}]
    assert (deputies.data / "moved" / "file").read_text() == "x"
