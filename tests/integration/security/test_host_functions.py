"""Host functions say what they require; while one runs, the deployment acts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from airssys.osl import AccessDenied, Policy, Rule, read_file, read_records, sync
from airssys.wasm import BlockingHost, Engine, GuestError, Host, InvalidSetting, Trap, requires

GUEST = Path(__file__).parents[3] / "build" / "components" / "host-calls.wasm"
NAME = "acme/calls"
ASKS = {"custom": [{"name": "store.read/*"}]}


class Nothing:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "keys":
            raise AttributeError(name)
        return lambda *_: None


class Store(Nothing):
    @requires("store.list")
    def find(self, prefix: str, limit: int | None) -> list[Any]:
        raise AssertionError("it was decided before")


@pytest.fixture(scope="module")
def unavailable() -> Any:
    """The error of the component's own type that says so."""
    return Engine().load(GUEST).types["demo:host/store#failure"].Unavailable()


def provided(**interfaces: Any) -> dict[str, Any]:
    return {
        f"demo:host/{name}": interfaces.get(name, Nothing()) for name in ("log", "store", "math")
    }


def uses(host: BlockingHost | Host, operation: str = "custom.use") -> list[tuple[str, str, str]]:
    host.osl.audit.flush()
    found = read_records(host.directory / "audit", principal=NAME)
    return [
        (record.target, record.decision, record.rule)
        for record in found
        if record.operation == operation
    ]


def test_a_host_function_runs_where_its_capability_was_granted(
    tmp_path: Path, unavailable: Any
) -> None:
    class Reading(Store):
        @requires("store.read/{key}", denied=unavailable)
        def get(self, key: str) -> bytes:
            return key.encode()

    with Host.open_blocking(tmp_path / "state", provides=provided(store=Reading())) as host:
        calls = host.deploy(GUEST, name=NAME, capabilities=ASKS)
        with pytest.raises(GuestError, match="unavailable"):
            calls.call("get", "apples")
        (grant,) = calls.grant("custom[0]")
        assert calls.call("get", "apples") == b"apples"
        # What a guest writes is one segment, and no way to another capability.
        assert calls.call("get", "a/b%") == b"a/b%"
        with pytest.raises(GuestError, match="unavailable"):
            calls.call("get", "..")
        with pytest.raises(Trap, match=r"may not use 'store\.list'") as caught:
            calls.call("keys", "", None)
        assert isinstance(caught.value.__cause__, AccessDenied)
        assert uses(host) == [
            ("store.read/apples", "deny", "not-granted"),
            ("store.read/apples", "allow", grant.name),
            ("store.read/a%2Fb%25", "allow", grant.name),
            ("store.read/..", "deny", "invalid-target"),
            ("store.list", "deny", "default-deny"),
        ]


def test_what_a_host_function_does_is_done_by_the_deployment(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("ada")
    policy = Policy(
        rules=(Rule(name="r", to=("acme/*",), access=("read",), target=(f"{tmp_path}/names",)),)
    )

    class Log(Nothing):
        async def log(self, message: str) -> None:
            assert await read_file(tmp_path / message) == b"ada"

    async def main() -> None:
        async with Host.open(
            tmp_path / "state", policy=policy, provides=provided(log=Log())
        ) as host:
            calls = await host.deploy(GUEST, name=NAME)
            await calls.call("log-once", "names")
            with pytest.raises(Trap, match="'acme/calls' may not read"):
                await calls.call("log-once", "others")
            assert uses(host, "filesystem.read") == [
                (str(tmp_path / "names"), "allow", "r"),
                (str(tmp_path / "others"), "deny", "default-deny"),
            ]

    asyncio.run(main())


def test_a_plain_host_function_acts_as_the_deployment_too(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("ada")

    class Log(Nothing):
        def log(self, message: str) -> None:
            sync.read_file(tmp_path / message)

    with Host.open_blocking(tmp_path / "state", provides=provided(log=Log())) as host:
        calls = host.deploy(GUEST, name=NAME)
        with pytest.raises(Trap, match="'acme/calls' may not read"):
            calls.call("log-once", "names")


def test_a_person_is_asked_for_what_the_policy_leaves_to_people(
    tmp_path: Path, unavailable: Any
) -> None:
    asked: list[str] = []

    async def approve(request: Any) -> str | None:
        asked.append(request.permission.target)
        return "ann" if request.permission.target.endswith("apples") else None

    class Slow(Nothing):
        @requires("sleep/{milliseconds}")
        async def slow(self, milliseconds: int) -> int:
            return milliseconds

    rule = Rule(effect="ask", to=("**",), kind="custom", access=("use",), target=("**",))

    class Asking(Store):
        @requires("store.read/{key}", denied=unavailable)
        async def get(self, key: str) -> bytes:
            return key.encode()

    async def main() -> None:
        async with Host.open(
            tmp_path / "state",
            policy=Policy(rules=(rule,)),
            approver=approve,
            provides=provided(store=Asking(), math=Slow()),
        ) as host:
            calls = await host.deploy(GUEST, name=NAME, capabilities=ASKS)
            assert await calls.call("get", "apples") == b"apples"
            with pytest.raises(GuestError, match="unavailable"):
                await calls.call("get", "pears")
            with pytest.raises(Trap, match="may not use 'sleep/7'"):
                await calls.call("slow", 7)
            assert asked == ["store.read/apples", "store.read/pears"], "not what it never asks for"

    asyncio.run(main())


def test_a_parameter_that_is_none_is_named() -> None:
    with pytest.raises(InvalidSetting, match=r"has no parameter 'customer'; it has key"):

        @requires("crm.read/{customer}")
        def get(key: str) -> None: ...
