"""What is given wrong to a host that runs: one error, nothing half written, guests go on."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airssys.errors import AirsSysError
from airssys.osl import AuditTruncated, PolicyError, read_records
from airssys.wasm import GuestError, Host, LinkError
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.security.checkpoints import acknowledge
from airssys.wasm.security.errors import UnknownGrant
from airssys.wasm.trust import SigningKey, TrustStore, TrustStoreUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm import BlockingDeployment, BlockingHost

READER = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
ASKS = {"filesystem": [{"path": "/data/**", "access": ["read"]}]}
POLICY = """
[[rule]]
name = "data"
to = ["acme/*"]
access = ["read"]
target = ["{data}/**"]
"""


class Running:
    """A host in a directory of its own, and a guest in it that may read."""

    def __init__(self, folder: Path) -> None:
        self.state, self.policy, self.data = (
            folder / "state",
            folder / "policy.toml",
            folder / "data",
        )
        self.data.mkdir()
        (self.data / "file").write_bytes(b"what it says")
        self.policy.write_text(POLICY.format(data=self.data))
        self.host: BlockingHost = Host.open_blocking(self.state, policy=self.policy)
        self.guest: BlockingDeployment = self.host.deploy(
            READER,
            name="acme/reader",
            lifetime="pooled",
            instances=1,
            capabilities=ASKS,
            mounts={"/data": self.data},
            grant="requested",
        )

    def reads(self) -> bool:
        """Whether the guest may still read."""
        try:
            self.guest.call("open-file", "/data/file")
        except GuestError:
            return False
        return True

    @property
    def grants(self) -> list[int]:
        return [grant.id for grant in self.guest.grants()]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    yield found
    found.host.close()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x00\xff\x13", "is not UTF-8"),
        (POLICY.encode()[:50], "unclosed array"),
        (POLICY.encode() + b'\ncolour = "red"\n', "unknown key `colour`"),
        (POLICY.replace('"read"', '"fly"').encode(), "`fly` is not an access of filesystem"),
        (POLICY.replace("{data}", "somewhere").encode(), "a path pattern is absolute"),
        (b"[[rule]]\nname = " + b"[" * 5000, "recurse"),
    ],
)
def test_a_policy_that_is_none_leaves_the_old_one_in_force(
    running: Running, content: bytes, problem: str
) -> None:
    running.policy.write_bytes(content)
    with pytest.raises(PolicyError, match=problem):
        running.host.osl.reload()
    assert running.reads()
    assert running.grants == [1]


@pytest.mark.parametrize(
    ("wrong", "error", "problem"),
    [
        (lambda guest: guest.grant("network[0]"), InvalidSetting, "has no request 'network"),
        (lambda guest: guest.grant("filesystem[9]"), InvalidSetting, "has no request 'filesys"),
        (lambda guest: guest.grant({"fly": []}), InvalidSetting, "unknown field `fly`"),
        (
            lambda guest: guest.grant({"filesystem": [{"path": "here", "access": ["read"]}]}),
            InvalidSetting,
            "a path pattern is absolute",
        ),
        (lambda guest: guest.grant("filesystem[0]", until="soon"), InvalidSetting, "is no moment"),
        (
            lambda guest: guest.grant("filesystem[0]", until=dt.datetime.fromtimestamp(0, dt.UTC)),
            InvalidSetting,
            "that is over",
        ),
        (
            lambda guest: guest.grant(
                "filesystem[0]", until=dt.datetime.max.replace(tzinfo=dt.UTC)
            ),
            InvalidSetting,
            "no end that can be recorded",
        ),
        (lambda guest: guest.revoke(7), UnknownGrant, r"has no grant 7; it has 1 \(filesystem"),
        (lambda guest: guest.revoke([1, 7]), UnknownGrant, "has no grant 7"),
        (lambda guest: guest.revoke("grant-1"), InvalidSetting, "'grant-1' is no grant"),
        (lambda guest: guest.revoke([None]), InvalidSetting, "None is no grant"),
        (
            lambda guest: guest.deploy(READER, capabilities={"filesystem": "x"}),
            InvalidSetting,
            "Expected `array`",
        ),
        (lambda guest: guest.deploy(b"\0asm garbage"), AirsSysError, "is broken"),
    ],
)
def test_what_cannot_be_granted_revoked_or_deployed_changes_nothing(
    running: Running, wrong: Callable[[Any], Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        wrong(running.guest)
    assert running.reads()
    assert running.grants == [1]
    assert [revision.number for revision in running.guest.history()] == [1]


def test_a_redeploy_that_fails_leaves_no_grant(running: Running) -> None:
    broken = b'(component (import "nobody:has/this" (instance (export "f" (func)))))'
    more = {"filesystem": [*ASKS["filesystem"], {"path": "/data/**", "access": ["write"]}]}
    with pytest.raises(LinkError):
        running.guest.deploy(broken, capabilities=more, grant="requested")
    assert running.grants == [1]
    assert running.reads()


def test_a_grant_is_revoked_once(running: Running) -> None:
    (second,) = running.guest.grant("filesystem[0]")
    running.guest.revoke(second)
    with pytest.raises(UnknownGrant, match=f"has no grant {second.id}; it has 1"):
        running.guest.revoke(second)
    assert running.reads()


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_log_that_is_taken_away_ends_every_access_with_one_error(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(tmp_path)
    log = running.state / "audit"
    lost = log.rename(tmp_path / "elsewhere")
    if how == "removed":
        for file in lost.iterdir():
            file.unlink()
    gone = "was moved or removed while it was written"
    with pytest.raises(AirsSysError, match=gone):
        running.host.osl.audit.flush()
    assert not running.reads()
    # What is told as an error was not granted; what was to be revoked is.
    with pytest.raises(AirsSysError, match=gone):
        running.guest.grant("filesystem[0]", why="it was an error")
    assert running.grants == [1]
    with pytest.raises(AirsSysError, match=gone):
        running.guest.revoke(1)
    assert running.grants == []
    with pytest.raises(AirsSysError, match=gone):
        running.host.close()
    if how == "moved":
        lost.rename(log)
    else:
        with pytest.raises(AuditTruncated):
            Host.open_blocking(running.state, policy=running.policy)
        acknowledge(running.state, who="kim", why="it was removed")
    with (
        Host.open_blocking(running.state, policy=running.policy) as host,
        caplog.at_level(logging.ERROR),
    ):
        assert host.deployment("acme/reader").grants() == ()
    if how == "moved":
        told = [each.rule for each in read_records(log) if each.operation == "rights.revoke"]
        assert told[0] == "grant-1"


def test_a_trust_store_that_becomes_damaged_admits_nothing_and_ends_nothing(tmp_path: Path) -> None:
    running = Running(tmp_path)
    store = TrustStore(running.state)
    store.trust(SigningKey.generate().public, ("acme/*",))
    path = running.state / "trust.json"
    good = path.read_bytes()
    try:
        for garbage in (b"\x00\xff", good[:20], b'{"schema": 99}'):
            path.write_bytes(garbage)
            with pytest.raises(TrustStoreUnusable, match="is damaged"):
                running.host.deploy(READER, name="acme/other")
            assert [each.name for each in running.host.deployments()] == ["acme/reader"]
            assert running.reads()
        path.write_bytes(good)
        assert running.host.deploy(READER, name="acme/other").revision.number == 1
    finally:
        running.host.close()
