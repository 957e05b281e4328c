"""Messages and storage of actors by requests and grants, taken back while they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airssys.osl import read_records
from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings, GuestRefused

if TYPE_CHECKING:
    from airssys.wasm import Deployment

COMPONENTS = Path(__file__).parents[3] / "build" / "components"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


async def actor(
    host: Host, guest: str, name: str, config: Any = None, **options: Any
) -> Deployment:
    return await host.deploy(
        COMPONENTS / f"{guest}.wasm",
        name=name,
        lifetime="actor",
        actor=ActorSettings(codec="json", config=config or {}),
        **options,
    )


def told(host: Host, name: str) -> list[tuple[str, str, str, str]]:
    host.osl.audit.flush()
    return [
        (record.operation, record.target, record.decision, record.rule)
        for record in read_records(host.directory / "audit", principal=name)
    ]


async def test_an_actor_asks_another_while_it_is_granted(tmp_path: Path) -> None:
    async with Host.open(tmp_path / "state") as host:
        await actor(host, "keeper-python", "demo/keeper")
        asker = await actor(
            host,
            "asker-rust",
            "demo/asker",
            {"target": "demo/keeper"},
            capabilities={"messaging": [{"ask": "demo/*"}]},
        )
        ref = await asker.start()
        with pytest.raises(GuestRefused):
            await ref.ask({"get": "k"}, 10.0)
        (grant,) = await asker.grant()
        await ref.ask({"put": {"key": "k", "value": "v"}}, 10.0)
        await asker.revoke(grant)
        with pytest.raises(GuestRefused):
            await ref.ask({"get": "k"}, 10.0)
        assert told(host, "demo/asker") == [
            ("messaging.ask", "demo/keeper", "deny", "not-granted"),
            ("messaging.ask", "demo/keeper", "allow", grant.name),
            ("messaging.ask", "demo/keeper", "deny", "not-granted"),
        ]


async def test_storage_of_its_own_is_asked_for_and_granted_too(tmp_path: Path) -> None:
    async with Host.open(tmp_path / "state") as host:
        own = {"storage": [{"namespace": "self", "access": ["read", "write"]}]}
        counter = await actor(host, "storing-actor", "acme/count", capabilities=own)
        assert [each.state for each in counter.requests()] == ["not"]
        (grant,) = await counter.grant("storage[0]")
        assert await counter.actor().ask(40) == 40
        await counter.revoke("all")
        with pytest.raises(Exception, match=r"not-granted|not permitted"):
            await counter.actor().ask(1)
        rules = {rule for *_, rule in told(host, "acme/count")}
        assert rules == {grant.name, "not-granted"}
        assert await counter.storage.get("count") == b"40"
