"""Deployments get what they ask for, was granted and the policy allows; a real guest tries."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airssys.osl import OSL, OslError, Policy, Rule, read_records
from airssys.wasm import BlockingHost, Directory, GuestError, Host, InvalidSetting, LinkError
from airssys.wasm.manifest.component_manifest import Capabilities, FilesystemRequest
from airssys.wasm.security.errors import UnknownGrant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm import BlockingDeployment

GUEST = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
NAME = "acme/reader"
READ = Capabilities(filesystem=(FilesystemRequest(path="/data/**", access=("read",)),))
REFUSED = "PermissionDenied"
# What Rust's standard library makes of any error of a stream on its first occurrence.
STREAM_ENDED = "Uncategorized"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_bytes(b"what it says")
    return folder


def decisions(host: BlockingHost | Host, name: str = NAME) -> list[tuple[str, str, str, int]]:
    """What was decided about a deployment: access, decision, rule, revision."""
    host.osl.audit.flush()
    found = []
    for record in read_records(host.directory / "audit", principal=name):
        line = json.loads(record.raw)
        assert (line["guest"], line["deployment"]) == (True, name)
        found.append((record.operation, record.decision, record.rule, line["revision"]))
    return found


def story(host: BlockingHost | Host) -> list[tuple[str, str, str]]:
    """What was decided and changed: operation, decision, rule."""
    host.osl.audit.flush()
    return [
        (record.operation, record.decision, record.rule)
        for record in read_records(host.directory / "audit")
        if record.operation.startswith(("rights.", "filesystem."))
    ]


def test_a_guest_is_refused_then_granted_and_reads_until_the_right_is_revoked(
    tmp_path: Path, data: Path
) -> None:
    async def main() -> None:
        async with Host.open(tmp_path / "state") as host:
            reader = await host.deploy(
                GUEST,
                name=NAME,
                lifetime="pooled",
                instances=1,
                capabilities=READ,
                mounts={"/data": data},
            )
            with pytest.raises(GuestError, match=REFUSED):
                await reader.call("open-file", "/data/file")
            (grant,) = await reader.grant(why="it reads")
            await reader.call("open-file", "/data/file")
            assert await reader.call("read-file", 5) == b"what "
            await reader.revoke(grant)
            with pytest.raises(GuestError, match=STREAM_ENDED):
                await reader.call("read-file", 5)
            assert story(host) == [
                ("filesystem.read", "deny", "not-granted"),
                ("rights.grant", "done", grant.name),
                ("filesystem.read", "allow", grant.name),
                ("rights.revoke", "done", grant.name),
                ("filesystem.read", "deny", "not-granted"),
            ]
            assert {revision for *_, revision in decisions(host)} == {1}

    asyncio.run(main())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[BlockingHost]:
    with Host.open_blocking(tmp_path / "state") as made:
        yield made


def deployed(host: BlockingHost, data: Path, **options: Any) -> BlockingDeployment:
    chosen: dict[str, Any] = {"capabilities": READ, "mounts": {"/data": data}, **options}
    return host.deploy(GUEST, name=NAME, lifetime="pooled", instances=1, **chosen)


def may_read(deployment: BlockingDeployment, path: str = "/data/file") -> bool:
    try:
        deployment.call("open-file", path)
    except GuestError as error:
        if error.value != REFUSED:
            raise
        return False
    return True


def test_what_is_requested_is_granted_where_the_deployer_says_so(
    host: BlockingHost, data: Path
) -> None:
    reader = deployed(host, data, grant="requested", who="ann", why="reviewed")
    assert may_read(reader)
    (grant,) = reader.grants()
    assert (grant.who, grant.why, grant.place) == ("ann", "reviewed", "capabilities.filesystem[0]")
    (request,) = reader.requests()
    assert (request.state, request.grants) == ("granted", (grant,))
    assert deployed(host, data, grant="requested").grants() == (grant,), "nothing twice"


def test_a_grant_of_what_nobody_asked_for_is_worth_nothing(host: BlockingHost, data: Path) -> None:
    reader = deployed(host, data, capabilities=None)
    reader.grant(READ)
    assert not may_read(reader)
    assert decisions(host) == [("filesystem.read", "deny", "not-requested", 1)]


def test_a_part_may_be_granted_of_what_is_requested(host: BlockingHost, data: Path) -> None:
    (data / "public").mkdir()
    (data / "public" / "file").write_bytes(b"for all")
    reader = deployed(host, data)
    part = FilesystemRequest(path="/*/public/**", access=("read", "write"))
    reader.grant(Capabilities(filesystem=(part,)))
    assert may_read(reader, "/data/public/file")
    assert not may_read(reader)
    assert [request.state for request in reader.requests()] == ["partly"]


def test_a_rollback_brings_no_revoked_right_back_and_a_new_revision_no_request_of_the_old(
    host: BlockingHost, data: Path
) -> None:
    reader = deployed(host, data, grant="requested")
    deployed(host, data, capabilities=None)
    assert not may_read(reader), "granted, but this revision does not ask for it"
    reader.rollback()
    assert may_read(reader)
    reader.revoke("all", why="no longer")
    reader.rollback(2)
    reader.rollback(1)
    assert not may_read(reader)
    assert reader.grants() == ()


def test_grants_outlive_the_host_and_are_not_those_of_a_later_deployment(
    tmp_path: Path, data: Path
) -> None:
    with Host.open_blocking(tmp_path / "state") as host:
        deployed(host, data, grant="requested")
    with Host.open_blocking(tmp_path / "state") as host:
        reader = host.deployment(NAME)
        assert may_read(reader)
        reader.remove()
        again = deployed(host, data)
        assert not may_read(again)
        assert again.grants() == ()


def test_a_deployment_that_failed_leaves_no_grant(host: BlockingHost, data: Path) -> None:
    broken = b'(component (import "nobody:has/this" (instance (export "f" (func)))))'
    with pytest.raises(LinkError):
        host.deploy(broken, name=NAME, capabilities=READ, mounts={"/data": data}, grant="requested")
    reader = deployed(host, data)
    assert reader.grants() == ()
    assert not may_read(reader)


def test_a_grant_ends_for_what_is_open_too(host: BlockingHost, data: Path) -> None:
    reader = deployed(host, data)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    reader.grant(until=soon)
    reader.call("open-file", "/data/file")

    def read_on() -> None:
        while dt.datetime.now(dt.UTC) < soon + dt.timedelta(seconds=10):
            reader.call("read-file", 0)

    with pytest.raises(GuestError, match=STREAM_ENDED):
        read_on()
    assert reader.grants() == ()
    assert [request.state for request in reader.requests()] == ["not"]


def test_the_policy_is_the_ceiling_of_grants(tmp_path: Path, data: Path) -> None:
    (data / "public").mkdir()
    (data / "public" / "file").write_bytes(b"for all")
    policy = Policy(
        rules=(
            Rule(to=("acme/*",), access=("read",), target=(f"{data}/public/**",)),
            Rule(name="no", effect="deny", to=("*",), access=("*",), target=(f"{data}/public/no",)),
        )
    )
    (data / "public" / "no").touch()
    with Host.open_blocking(tmp_path / "state", policy=policy) as host:
        reader = deployed(host, data)
        assert not may_read(reader, "/data/public/file"), "a policy grants nothing by itself"
        (grant,) = reader.grant()
        assert may_read(reader, "/data/public/file")
        assert not may_read(reader, "/data/public/no")
        assert not may_read(reader)
        assert [rule for _, _, rule, _ in decisions(host)] == [
            "not-granted",
            grant.name,
            "no",
            "beyond-policy",
        ]


def test_one_system_decides_for_python_code_and_components(tmp_path: Path, data: Path) -> None:
    rule = Rule(to=("acme/reader",), access=("read",), target=(f"{data}/**",))
    with OSL(policy=Policy(rules=(rule,)), audit=tmp_path / "log") as system:
        with Host.open_blocking(tmp_path / "state", osl=system) as host:
            assert host.osl is system
            reader = deployed(host, data, grant="requested")
            assert may_read(reader)
            with pytest.raises(OslError, match="governs the components of another host"):
                Host.open_blocking(tmp_path / "other", osl=system)
        system.reload()
    assert [record.operation for record in read_records(tmp_path / "log", principal=NAME)] == [
        "filesystem.read"
    ]
    with pytest.raises(InvalidSetting, match="`osl` does not go with"):
        Host.open_blocking(tmp_path / "state", osl=system, policy=Policy())


def test_reloading_the_policy_keeps_what_components_were_granted(
    tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "policy.toml"
    rule = f'[[rule]]\nto = ["**"]\naccess = ["read"]\ntarget = ["{data}/**"]\n'
    file.write_text(rule)
    with Host.open_blocking(tmp_path / "state", policy=file) as host:
        reader = deployed(host, data, grant="requested")
        assert may_read(reader)
        file.write_text(rule + 'effect = "deny"\n')
        host.osl.reload()
        assert not may_read(reader)
        file.write_text(rule)
        host.osl.reload()
        assert may_read(reader)


def test_observing_lets_pass_what_is_merely_not_granted_until_it_ends(
    host: BlockingHost, data: Path
) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    reader = deployed(host, data, enforcement="observe", observe_until=later)
    assert may_read(reader)
    assert decisions(host) == [("filesystem.read", "observed", "not-granted", 1)]
    reader = deployed(
        host, data, enforcement="observe", observe_until=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    )
    assert not may_read(reader)
    with pytest.raises(InvalidSetting, match="for development hosts"):
        deployed(host, data, enforcement="learn")
    with pytest.raises(InvalidSetting, match="needs observe_until"):
        deployed(host, data, enforcement="observe")


def test_nobody_reaches_the_state_directory_by_any_grant(
    tmp_path: Path, host: BlockingHost
) -> None:
    reader = deployed(host, tmp_path, grant="requested")
    (tmp_path / "file").write_bytes(b"beside it")
    assert may_read(reader)
    for name in ("airssys.db", "audit.key", "host.lock"):
        assert not may_read(reader, f"/data/state/{name}")
    assert {rule for *_, rule, _ in decisions(host)[1:]} == {"reserved-object"}


def test_opening_a_host_puts_the_rights_of_all_deployments_in_force_at_once(
    tmp_path: Path, data: Path
) -> None:
    names = [f"acme/reader-{number}" for number in range(12)]
    with Host.open_blocking(tmp_path / "state") as host:
        for name in names:
            host.deploy(
                GUEST, name=name, capabilities=READ, mounts={"/data": data}, grant="requested"
            )
    log = tmp_path / "state" / "audit"
    before = [record.operation for record in read_records(log)].count("gate.load")
    with Host.open_blocking(tmp_path / "state") as host:
        assert all(may_read(host.deployment(name)) for name in names)
    loads = [record.operation for record in read_records(log)].count("gate.load") - before
    assert loads == 2, "the policy, and the rights of all"


def test_what_needs_nothing_loads_nothing(host: BlockingHost) -> None:
    before = host.osl.gate.generation
    host.deploy(GUEST, name=NAME)
    assert host.osl.gate.generation == before


def test_a_grant_counts_for_one_caller_only_where_it_says_so(
    host: BlockingHost, data: Path
) -> None:
    reader = deployed(host, data)
    reader.grant(caller="acme/other")
    assert not may_read(reader)
    assert [request.state for request in reader.requests()] == ["partly"]


def test_mounts_lead_patterns_to_the_host_and_nothing_beside_them(
    host: BlockingHost, data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "oth*r"
    (other / "deep").mkdir(parents=True)
    (other / "deep" / "file").write_bytes(b"")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"")
    wide = Capabilities(filesystem=(FilesystemRequest(path="/*/deep/**", access=("read",)),))
    reader = deployed(
        host,
        data,
        capabilities=wide,
        grant="requested",
        mounts={"/data": data, "/more": Directory(other), "/a/b": tmp_path / "other"},
    )
    assert may_read(reader, "/more/deep/file")
    assert not may_read(reader, "/data/file")
    assert not may_read(reader, "/a/b/file")
    (data / "link").symlink_to(other / "deep" / "file")
    with pytest.raises(GuestError):
        reader.call("open-file", "/data/link")


def test_a_killed_host_comes_back_with_what_was_acknowledged(tmp_path: Path, data: Path) -> None:
    program = """
import os, signal, sys
from airssys.wasm import Host
guest, state, data, revoke = sys.argv[1:]
host = Host.open_blocking(state)
asks = {"filesystem": [{"path": "/data/**", "access": ["read"]}]}
reader = host.deploy(guest, name="acme/reader", capabilities=asks, mounts={"/data": data})
grants = reader.grants() or reader.grant()
if revoke == "yes":
    reader.revoke(grants)
os.kill(os.getpid(), signal.SIGKILL)
"""
    for revoke, granted in (("no", 1), ("yes", 0)):
        command = [sys.executable, "-c", program, GUEST, tmp_path / "state", data, revoke]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(list(map(str, command)), check=False, env=environment)
        assert done.returncode == -signal.SIGKILL
        with Host.open_blocking(tmp_path / "state") as host:
            reader = host.deployment(NAME)
            assert len(reader.grants()) == granted
            assert may_read(reader) is bool(granted)


def test_wrong_input_is_refused_by_name(host: BlockingHost, data: Path) -> None:
    reader = deployed(host, data)
    with pytest.raises(InvalidSetting, match=r"no request 'http\[0\]'"):
        reader.grant("http[0]")
    with pytest.raises(UnknownGrant, match="has no grant 7"):
        reader.revoke(7)
    with pytest.raises(InvalidSetting, match="no time zone"):
        reader.grant(until=dt.datetime(2030, 1, 1))  # noqa: DTZ001
    relative = Capabilities(filesystem=(FilesystemRequest(path="data", access=("read",)),))
    with pytest.raises(InvalidSetting, match=r"capabilities.filesystem\[0\].*absolute"):
        deployed(host, data, capabilities=relative)
    with pytest.raises(InvalidSetting, match=r"capabilities.filesystem\[0\].*absolute"):
        reader.grant(relative)
    with pytest.raises(InvalidSetting, match="no path in a component"):
        deployed(host, data, mounts={"data": data})
    with pytest.raises(InvalidSetting, match="no directory"):
        deployed(host, data, mounts={"/data": data / "missing"})
    with pytest.raises(InvalidSetting, match="grant 'all' is not known"):
        deployed(host, data, grant="all")
