"""The gate decides each access of a guest to its keys."""

from __future__ import annotations

import json

import pytest

from airssys.osl._native import AuditLog, Gate, Subject
from airssys.wasm import BlockingStorage, Engine, GuestError, Wasi


@pytest.fixture
def namespace():
    with BlockingStorage.in_memory() as storage:
        found = storage.namespace("acme/store")
        for key in ("users/1", "users/2", "users/secret/3", "shop/open"):
            found.set(key, key.encode())
        yield found


def rule(effect, access, *targets):
    return {
        "id": f"{effect}-{'-'.join(access)}-{len(targets)}",
        "effect": effect,
        "principals": ["name:guest"],
        "kind": "storage",
        "access": list(access),
        "targets": list(targets),
    }


@pytest.fixture
def ruled(tmp_path, namespace, key_value):
    """An instance whose rights are the rules of a gate, and how to load others."""
    log = AuditLog(tmp_path / "log", key=bytes(32))
    gate = Gate(log)

    def load(*rules):
        gate.load(json.dumps({"schema": 1, "rules": rules}).encode())

    load()
    wasi = Wasi(rules=(gate, Subject("guest")), storage=namespace)
    yield Engine().load(key_value).instantiate(wasi=wasi), load
    log.close()


def refused(call, *arguments):
    with pytest.raises(GuestError, match=r"not permitted|access denied"):
        call(*arguments)


def test_nothing_is_allowed_that_no_rule_allows(ruled, namespace):
    guest, _ = ruled
    refused(guest["get"], "users/1")
    refused(guest["exists"], "users/1")
    refused(guest["set"], "users/1", b"", None)
    refused(guest["delete"], "users/1")
    refused(guest["keys"], "", 10)
    refused(guest["scan"], "", 10)
    refused(guest["usage"])
    refused(guest["watch-own"], "w/", 1)
    refused(guest["count"], "n")
    refused(guest["transfer"], "a", "b", 0)
    refused(guest["standard-get"], "users/1")
    refused(guest["standard-set"], "users/1", b"")
    refused(guest["standard-delete"], "users/1")
    refused(guest["standard-increment"], "n", 1)
    refused(guest["standard-keys"])
    refused(guest["standard-many"], ["a"])
    assert [entry.value for entry in namespace.scan("users/1")] == [b"users/1"]


def test_each_access_is_a_right_of_its_own(ruled):
    guest, load = ruled
    load(rule("allow", ["read"], "self/users/*"))
    assert guest["get"]("users/1") == b"users/1"
    refused(guest["get"], "users/secret/3")
    refused(guest["get"], "shop/open")
    refused(guest["set"], "users/1", b"", None)
    load(rule("allow", ["write"], "self/users/**"))
    guest["set"]("users/secret/3", b"new", None)
    refused(guest["delete"], "users/1")
    refused(guest["get"], "users/1")
    load(rule("allow", ["delete"], "self/**"))
    assert guest["delete"]("users/1")


def test_lists_and_scans_leave_out_what_is_denied(ruled):
    guest, load = ruled
    everything = rule("allow", ["read", "list"], "self/**")
    load(everything, rule("deny", ["list"], "self/users/secret/**"))
    assert guest["keys"]("", 1) == ["shop/open", "users/1", "users/2"]
    assert guest["standard-keys"]() == ["shop/open", "users/1", "users/2"]
    # The beginning of a key is no way around: what is listed is whole segments.
    assert guest["keys"]("users/s", 10) == []
    refused(guest["keys"], "users/secret/", 10)
    load(everything, rule("deny", ["read"], "self/users/2", "self/users/secret/**"))
    assert [key for key, _ in guest["scan"]("", 2)] == ["shop/open", "users/1"]
    load(rule("allow", ["list"], "self/us/**"))
    refused(guest["keys"], "us", 10)


def test_a_right_that_is_taken_away_ends_at_the_next_operation(ruled):
    guest, load = ruled
    load(rule("allow", ["read"], "self/**"))
    assert guest["get"]("users/1") == b"users/1"
    load()
    refused(guest["get"], "users/1")


def test_a_listed_right_is_enough_where_no_gate_decides(namespace, key_value):
    wasi = Wasi(storage=namespace, keys=["self/users/*"])
    guest = Engine().load(key_value).instantiate(wasi=wasi)
    assert guest["get"]("users/1") == b"users/1"
    refused(guest["get"], "shop/open")
    assert any("storage.read self/shop/open" in denial for denial in wasi.denials)
    wasi.revoke()
    refused(guest["get"], "users/1")
    with pytest.raises(ValueError, match="storage keys such as"):
        Wasi(keys=["self//x"])
