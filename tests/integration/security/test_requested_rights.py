"""Rights that a running component asks for, and what a person's answer is worth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.osl import Policy, Rule, read_records
from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings

if TYPE_CHECKING:
    from airssys.osl import ApprovalRequest

PUPPET = Path(__file__).parents[3] / "build" / "components" / "actor-puppet.wasm"
NAME = "acme/puppet"
ASKS = {
    "filesystem": [{"path": "/data/**", "access": ["read"]}],
    "storage": [{"namespace": "self", "access": ["write"]}],
}


class Person:
    """Says yes to what it is asked, and remembers that."""

    def __init__(self) -> None:
        self.asked: list[ApprovalRequest] = []

    async def __call__(self, request: ApprovalRequest) -> str | None:
        self.asked.append(request)
        return "carol"


def ask_for(data: Path) -> Policy:
    return Policy(
        rules=(
            Rule(
                name="ask",
                effect="ask",
                to=("acme/*",),
                access=("read",),
                target=(f"{data}/**",),
            ),
        )
    )


def test_what_a_person_gives_a_component_that_asks_is_granted_for_good(tmp_path: Path) -> None:
    # On real time: what waits is a person.
    asyncio.run(granted_for_good(tmp_path))


async def granted_for_good(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a[1]", "b"):
        (data / name).write_text(name)
    policy, person = ask_for(data), Person()

    async def deployed(host: Host) -> object:
        puppet = await host.deploy(
            PUPPET,
            name=NAME,
            actor=ActorSettings(codec="json"),
            capabilities=ASKS,
            mounts={"/data": data},
        )
        return puppet.actor()

    async with Host.open(tmp_path / "state", policy=policy, approver=person) as host:
        ref = await deployed(host)
        request = ["request", "filesystem", "read", "/data/a[1]", "it is my job"]
        assert await ref.ask({"do": [request]}, 60.0) == [{"ok": None}]
        (asked,) = person.asked
        assert (asked.reason, asked.permission.target) == ("it is my job", f"{data}/a[1]")
        (grant,) = host.deployment(NAME).grants()
        assert (grant.who, grant.why, grant.access) == ("carol", "it is my job", ("read",))
        assert grant.target == r"/data/a\[1\]"
        assert await ref.ask({"do": [["read", "/data/a[1]"]]}, 60.0) == [{"ok": "a[1]"}]
        assert await ref.ask({"do": [request]}, 60.0) == [{"ok": None}]
        assert len(person.asked) == 1, "nobody is asked for what was granted"
        # One access is asked for as ever, and gives no right.
        assert await ref.ask({"do": [["read", "/data/b"]]}, 60.0) == [{"ok": "b"}]
        assert (len(person.asked), person.asked[1].reason) == (2, None)
        assert len(host.deployment(NAME).grants()) == 1

    # It outlives the host, and is revoked like any other.
    async with Host.open(tmp_path / "state", policy=policy, approver=person) as host:
        ref = host.deployment(NAME).actor()
        assert await ref.ask({"do": [["read", "/data/a[1]"]]}, 60.0) == [{"ok": "a[1]"}]
        assert len(person.asked) == 2
        await host.deployment(NAME).revoke("all")
        assert await ref.ask({"do": [["read", "/data/a[1]"]]}, 60.0) == [{"ok": "a[1]"}]
        assert len(person.asked) == 3, "asked again"
        host.osl.audit.flush()
    granted = list(read_records(tmp_path / "state" / "audit", operation="rights.grant"))
    assert [each.detail for each in granted] == ["by carol: it is my job"]


def test_a_pattern_that_a_component_asks_for_is_no_wider_right(tmp_path: Path) -> None:
    asyncio.run(no_wider_right(tmp_path))


async def no_wider_right(tmp_path: Path) -> None:
    person = Person()
    rule = Rule(
        name="ask",
        effect="ask",
        to=("acme/*",),
        kind="http",
        access=("*",),
        target=("https://api.example.com/**",),
    )
    async with Host.open(tmp_path / "state", policy=Policy(rules=(rule,)), approver=person) as host:
        puppet = await host.deploy(
            PUPPET,
            name=NAME,
            actor=ActorSettings(codec="json"),
            capabilities={"http": [{"host": "api.example.com"}]},
        )
        wide = ["request", "http", "GET", "https://api.example.com/**", "all of it"]
        assert await puppet.actor().ask({"do": [wide]}, 60.0) == [{"ok": None}]
        assert puppet.grants() == ()
        one = ["request", "http", "GET", "https://api.example.com/v1/a", "this"]
        assert await puppet.actor().ask({"do": [one]}, 60.0) == [{"ok": None}]
        (grant,) = puppet.grants()
        assert (grant.kind, grant.access) == ("http", ("GET",))
