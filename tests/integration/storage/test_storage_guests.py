"""What a guest sees of storage, over each backend and in both lifetimes."""

from __future__ import annotations

import pytest

from airssys.wasm import Engine, GuestError, Host, Limits, StorageChange, StorageSettings

BACKENDS = {
    "durable": StorageSettings(),
    "relaxed": StorageSettings(relaxed=0.01),
    "memory": StorageSettings(in_memory=True),
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


@pytest.fixture(params=["call", "pooled"])
def store(request, backend, state, key_value):
    """The guest, deployed on each backend in each lifetime."""
    with Host.open_blocking(state, storage=backend) as host:
        yield host.deploy(key_value, grant="requested", name="acme/store", lifetime=request.param)


def test_a_value_is_what_was_set_until_it_is_deleted(store):
    assert store.api.get("a") is None
    first = store.api.set("a", b"\x00\xff", None)
    assert store.api.get("a") == b"\x00\xff"
    second = store.api.set("a", b"", None)
    assert second > first
    assert store.api.get("a") == b""
    assert store.api.exists("a")
    assert store.api.delete("a")
    assert not store.api.delete("a")
    assert not store.api.exists("a")


def test_keys_come_in_the_order_of_their_bytes_whatever_the_pages(store):
    names = ["b", "a", "a/2", "a/10", "ä", "a/1", "B", "ab"]
    for name in names:
        store.api.set(name, name.encode(), None)
    ordered = sorted(names, key=str.encode)
    for page in (1, 3, 1000):
        assert store.api.keys("", page) == ordered
        assert store.api.scan("", page) == [(name, name.encode()) for name in ordered]
        assert store.api.keys("a/", page) == ["a/1", "a/10", "a/2"]
    assert store.api.keys("z", 10) == []


def test_a_transfer_is_whole_or_not_at_all(store):
    store.api.set("alice", b"10", None)
    store.api.transfer("alice", "bob", 4)
    assert (store.api.get("alice"), store.api.get("bob")) == (b"6", b"4")
    with pytest.raises(GuestError, match="alice has too little"):
        store.api.transfer("alice", "bob", 7)
    assert (store.api.get("alice"), store.api.get("bob")) == (b"6", b"4")


def test_compare_and_set_counts_each_once(store):
    tries = [store.api.count("n") for _ in range(5)]
    assert tries == [1] * 5
    assert store.api.get("n") == b"5"


def test_a_guest_is_told_of_changes_in_order(store):
    assert store.api.watch_own("w/", 3) == [
        "Change::Set w/0",
        "Change::Set w/1",
        "Change::Set w/2",
        "Change::Deleted w/0",
    ]
    told = store.api.watch_own("many/", 1100)
    assert told[:1] == ["Change::Set many/0"]
    # A thousand wait at most; the 101 after that are missed, and said to be.
    assert len(told) == 1001
    assert told[-1] == "missed 101"


def test_wasi_keyvalue_is_the_same_storage(store):
    store.api.standard_set("a", b"1")
    assert store.api.get("a") == b"1"
    store.api.set("b/c", b"2", None)
    assert store.api.standard_get("b/c") == b"2"
    assert store.api.standard_get("nothing") is None
    assert store.api.standard_keys() == ["a", "b/c"]
    assert store.api.standard_exists("a")
    store.api.standard_delete("a")
    store.api.standard_delete("a")
    assert not store.api.standard_exists("a")
    assert store.api.standard_increment("n", 40) == 40
    assert store.api.standard_increment("n", -50) == -10
    assert store.api.get("n") == b"-10"
    assert store.api.standard_swap_twice("s") == "first"
    assert store.api.get("s") == b"third"
    assert store.api.standard_many(["x", "y", "z"]) == [None, b"y", b"z"]
    store.api.standard_open("default")
    with pytest.raises(GuestError, match="no such store"):
        store.api.standard_open("acme/other")
    with pytest.raises(GuestError, match="is no integer"):
        store.api.standard_increment("s", 1)


def test_what_is_no_key_is_refused_with_the_reason(store):
    for key in ("", "a//b", "/a", "a/", "../b", "a/./b", "a\0b"):
        with pytest.raises(GuestError, match="invalid: "):
            store.api.set(key, b"", None)
        with pytest.raises(GuestError, match="invalid: "):
            store.api.get(key)
    with pytest.raises(GuestError, match="exceeded: storage_key 256 257"):
        store.api.set("k" * 257, b"", None)
    store.api.set("k" * 256, b"", None)
    with pytest.raises(GuestError, match="exceeded: storage_value 1000000 1000001"):
        store.api.set("k", bytes(1_000_001), None)
    store.api.set("k", bytes(1_000_000), None)
    with pytest.raises(GuestError, match="at least one millisecond"):
        store.api.set("k", b"", 0)


def test_quotas_are_exact(backend, state, key_value):
    limits = Limits(storage=20, storage_keys=3)
    with Host.open_blocking(state, storage=backend) as host:
        store = host.deploy(key_value, grant="requested", name="acme/store", limits=limits)
        store.api.set("a", bytes(9), None)
        store.api.set("b", bytes(9), None)
        assert store.api.usage() == (2, 20, 3, 20)
        with pytest.raises(GuestError, match="exceeded: storage 20 21"):
            store.api.set("b", bytes(10), None)
        with pytest.raises(GuestError, match="exceeded: storage 20 21"):
            store.api.set("c", b"", None)
        assert store.api.usage() == (2, 20, 3, 20)
        # Less is always allowed, also of what is full.
        store.api.set("b", bytes(7), None)
        store.api.set("c", b"", None)
        with pytest.raises(GuestError, match="storage_keys is 3, and this needs 4"):
            store.api.standard_set("d", b"")
        store.api.delete("a")
        assert store.api.usage() == (2, 9, 3, 20)
        # Two keys are written over and one is new; then the first is deleted.
        store.api.standard_many(["b", "c", "x"])
        assert store.api.usage() == (2, 4, 3, 20)


def test_no_deployment_reaches_the_keys_of_another(state, key_value):
    with Host.open_blocking(state) as host:
        first = host.deploy(key_value, grant="requested", name="acme/one")
        second = host.deploy(key_value, grant="requested", name="acme/one-b")
        first.api.set("secret", b"1", None)
        assert second.api.get("secret") is None
        assert second.api.keys("", 10) == []
        assert second.api.standard_keys() == []
        assert second.api.usage()[:2] == (0, 0)
        second.api.set("secret", b"2", None)
        assert first.api.get("secret") == b"1"


def test_an_expired_value_is_gone_for_guests_and_the_host_is_told(deployed):
    events = deployed.storage.watch()
    deployed.api.set("brief", b"1", 1)
    deployed.api.set("long", b"1", 3_600_000)
    left = deployed.api.get_versioned("long").time_to_live
    assert 3_500_000 < left <= 3_600_000
    told = [next(events), next(events), next(events)]
    changes = [(each.key, each.change) for each in told if isinstance(each, StorageChange)]
    assert changes[0] == ("brief", "set")
    assert sorted(changes[1:]) == [("brief", "expired"), ("long", "set")]
    assert deployed.api.keys("", 10) == ["long"]
    assert deployed.api.usage()[:2] == (1, 5)


def test_an_instance_without_a_deployment_has_no_storage(key_value):
    instance = Engine().load(key_value).instantiate()
    with pytest.raises(GuestError, match="unavailable"):
        instance["get"]("a")
    with pytest.raises(GuestError, match="no such store"):
        instance["standard-get"]("a")


def test_storage_goes_on_over_revisions_and_ends_with_the_deployment(state, key_value):
    with Host.open_blocking(state) as host:
        store = host.deploy(key_value, grant="requested", name="acme/store")
        store.api.set("a", b"1", None)
        store = store.deploy(key_value, limits=Limits(storage_keys=5))
        assert store.api.usage() == (1, 2, 5, 50 << 20)
        assert store.api.get("a") == b"1"
        store.remove()
        assert host.storage.namespaces() == ()
        store = host.deploy(key_value, grant="requested", name="acme/store")
        assert store.api.get("a") is None
