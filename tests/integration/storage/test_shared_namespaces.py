"""A deployment uses another's storage as far as both sides permit; real guests try."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airssys.osl import read_records
from airssys.wasm import GuestError, Host, Limits
from airssys.wasm.manifest.component_manifest import Capabilities, StorageRequest
from airssys.wasm.manifest.requests import WrongRequestError, check_requests
from airssys.wasm.security.capability_text import Use, asking_for

GUEST = Path(__file__).parents[3] / "build" / "components" / "key-value.wasm"
OWNER, READER = "team/shared", "acme/reader"
OWN = {"namespace": "self", "access": ["read", "write", "delete", "list"]}
READS = {"namespace": OWNER, "access": ["read", "list"]}
WRITES = {"namespace": OWNER, "access": ["read", "write", "delete", "list"]}


def shares(access=("read", "list"), others="acme/*"):
    return {"share_with": others, "access": list(access)}


@pytest.fixture
def host(state):
    with Host.open_blocking(state) as host:
        yield host


@pytest.fixture
def deploy(host):
    """Deploy the guest with requests for storage, all of them granted."""

    def deploy(name, *requests, **options):
        capabilities = {"storage": list(requests)}
        return host.deploy(
            GUEST, name=name, capabilities=capabilities, grant="requested", **options
        )

    return deploy


def refused(call, *arguments, match="not permitted"):
    with pytest.raises(GuestError, match=match):
        call(*arguments)


def test_what_both_sides_permit_is_seen_and_nothing_else_is(deploy):
    owner = deploy(OWNER, OWN, shares())
    owner.api.set("plan/a", b"1", None)
    reader = deploy(READER, OWN, READS)
    reader.api.set("plan/a", b"its own", None)
    assert reader.api.shared_get(OWNER, "plan/a") == b"1"
    assert reader.api.shared_get(OWNER, "plan/b") is None
    assert reader.api.shared_keys(OWNER, "") == ["plan/a"]
    assert reader.api.shared_scan(OWNER, "plan/") == [("plan/a", b"1")]
    assert reader.api.shared_usage(OWNER)[0] == 1
    refused(reader.api.shared_set, OWNER, "plan/a", b"2")
    refused(reader.api.shared_delete, OWNER, "plan/a")
    assert owner.api.get("plan/a") == b"1"


def test_one_side_alone_is_not_enough(deploy):
    owner = deploy(OWNER, OWN)
    owner.api.set("a", b"1", None)
    reader = deploy(READER, READS)
    refused(reader.api.shared_get, OWNER, "a", match=f"{OWNER} does not share that with {READER}")
    stranger = deploy("acme/stranger", OWN)
    deploy(OWNER, OWN, shares())
    refused(stranger.api.shared_get, OWNER, "a")
    assert reader.api.shared_get(OWNER, "a") == b"1"
    # Shared with these, and with nobody else.
    other = deploy("other/reader", READS)
    refused(other.api.shared_get, OWNER, "a", match="does not share")
    # A name that begins with the owner's is somebody else.
    beneath = deploy("acme/beneath", {**READS, "namespace": "team"})
    refused(beneath.api.shared_get, OWNER, "a")
    # What is not shared is not told from what is not there, to those without a right.
    words = []
    for name in (OWNER, "team/nobody"):
        with pytest.raises(GuestError) as caught:
            stranger.api.shared_keys(name, "")
        words.append(str(caught.value).replace(name, "it"))
    assert words[0] == words[1]


def test_writing_counts_for_the_owner_within_its_bounds(deploy):
    access = ("read", "write", "delete", "list")
    owner = deploy(OWNER, OWN, shares(access), limits=Limits(storage_keys=2))
    writer = deploy(READER, OWN, WRITES)
    assert writer.api.shared_claim(OWNER, "lock", b"mine")
    assert not writer.api.shared_claim(OWNER, "lock", b"again")
    version = writer.api.shared_set(OWNER, "job", b"1")
    assert owner.api.get_versioned("job").version == version
    refused(writer.api.shared_set, OWNER, "more", b"1", match="exceeded: storage_keys 2 3")
    refused(writer.api.shared_set, OWNER, "../x", b"1", match="invalid")
    assert writer.api.shared_delete(OWNER, "job")
    assert owner.api.keys("", 10) == ["lock"]
    assert writer.api.usage()[0] == 0


def test_either_side_ends_it_at_the_next_operation(host, deploy):
    owner = deploy(OWNER, OWN, shares())
    owner.api.set("a", b"1", None)
    reader = deploy(READER, READS, lifetime="pooled")
    assert reader.api.shared_get(OWNER, "a") == b"1"
    owner.revoke("all")
    refused(reader.api.shared_get, OWNER, "a", match="does not share")
    owner.grant()
    assert reader.api.shared_get(OWNER, "a") == b"1"
    reader.revoke("all")
    refused(reader.api.shared_get, OWNER, "a")
    reader.grant()
    deploy(OWNER, OWN)  # the next revision shares nothing
    refused(reader.api.shared_get, OWNER, "a", match="does not share")
    deploy(OWNER, OWN, shares())
    assert reader.api.shared_get(OWNER, "a") == b"1"
    host.deployment(OWNER).remove()
    refused(reader.api.shared_get, OWNER, "a", match="does not share")


def test_both_decisions_are_in_the_audit_log(host, deploy):
    deploy(OWNER, OWN, shares())
    deploy(READER, READS).api.shared_get(OWNER, "plan/a")
    host.osl.audit.flush()
    seen = [
        (json.loads(record.raw)["deployment"], record.operation, record.target, record.decision)
        for record in read_records(host.directory / "audit")
        if record.operation.startswith("storage.")
    ]
    assert seen == [
        (READER, "storage.read", f"{OWNER}/@/plan/a", "allow"),
        (OWNER, "storage.read", f"@share/{READER}", "allow"),
    ]


def test_what_was_learnt_is_asked_for_by_the_owners_name():
    uses = [
        Use("storage", "read", f"{OWNER}/@/deep/key"),
        Use("storage", "list", f"{OWNER}/@"),
        Use("storage", "read", "@share/acme/reader"),
        Use("storage", "write", "self/@/key"),
    ]
    assert set(asking_for(uses).storage) == {
        StorageRequest(namespace=OWNER, access=("read", "list")),
        StorageRequest(share_with="acme/reader", access=("read",)),
        StorageRequest(namespace="self", access=("write",)),
    }


@pytest.mark.parametrize(
    "request_",
    [
        StorageRequest(access=("read",)),
        StorageRequest(access=("read",), namespace="self", share_with="a"),
    ],
)
def test_a_request_names_one_side(request_):
    with pytest.raises(WrongRequestError, match="expected exactly one of namespace, share_with"):
        check_requests(Capabilities(storage=(request_,)))
