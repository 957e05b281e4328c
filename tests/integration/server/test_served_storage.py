"""What deployments store, by a server that has the storage open."""

from __future__ import annotations

import io
import json

import pytest

from airssys.cli import history, kv
from airssys.wasm import Host, UnknownDeployment
from airssys.wasm.storage_records import Check, Delete, Put

pytestmark = pytest.mark.timeout(120)
NAME = "acme/store"


@pytest.fixture
def host(served, guest):
    with Host.connect_blocking(served.address) as connected:
        connected.deploy(guest("key-value"), name=NAME)
        yield connected


def test_entries_are_set_listed_and_deleted_in_the_server(host, tmp_path):
    store = host.storage.namespace(NAME)
    first = store.set("a/1", b"\0\xff")
    second = store.set("a/2", b"x" * 100_000, time_to_live=1000)
    assert second > first
    assert store.get("a/1") == b"\0\xff"
    assert store.entry("a/2").expires is not None
    assert [each.key for each in store.scan("a/")] == ["a/1", "a/2"]
    assert store.batch([Check("a/1", first), Delete("a/1"), Put("b", b"2")]) is not None
    assert store.batch([Check("a/2", first), Delete("a/2")]) is None
    assert (store.delete("a/1"), store.delete("b"), store.get("b")) == (False, True, None)
    for number in range(450):
        store.set(f"many/{number:03}", b"x")
    assert len(list(store.scan("many/"))) == 450
    assert store.usage().keys == 451
    assert host.storage.namespaces() == (NAME,)
    assert host.deployment(NAME).storage.get("many/449") == b"x"
    assert store.export_jsonl(tmp_path / "all") == 451
    assert store.import_jsonl(tmp_path / "all") == 451
    with pytest.raises(UnknownDeployment):
        host.storage.namespace("acme/nothing")


def test_the_commands_use_the_server(host, served, monkeypatch, capsys):
    kv.set_value(NAME, "key", "value", state=served.state)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    kv.set_value(NAME, "piped", state=served.state)
    capsys.readouterr()
    kv.get(NAME, "piped", state=served.state, as_json=True)
    assert json.loads(capsys.readouterr().out)["value"] == "piped"
    kv.list_keys(NAME, state=served.state, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [each["key"] for each in found["entries"]] == ["key", "piped"]
    kv.usage(state=served.state, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["keys"] == 2


def test_a_component_is_uploaded_once(host, served, guest):
    sent = []
    original = host.look

    def look(request):
        sent.append((request.method, request.path.partition("?")[0]))
        return original(request)

    host.look = look
    content = guest("calculator").read_bytes()
    host.deploy(content, name="acme/one")
    assert sent.count(("POST", "/v1/components")) == 1
    # What a revision has need not be sent again, nor what was reviewed.
    host.deploy(content, name="acme/two")
    assert sent.count(("POST", "/v1/components")) == 1
    assert host.call("acme/two", "add", 1, 2) == 3


def test_list_and_history_come_from_the_server(host, served, monkeypatch, capsys):
    def refused(*_arguments):
        raise AssertionError("the files beside the server were read")

    monkeypatch.setattr("airssys.cli.history.open_registry", refused)
    history.list_deployments(state=served.state, as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["deployment"]["name"], found["live"]["number"]) == (NAME, 1)
    history.history(NAME, state=served.state, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [each["number"] for each in found["revisions"]] == [1]
    assert [each["to_revision"] for each in found["rollouts"]] == [1]
    with pytest.raises(UnknownDeployment):
        history.history("acme/nothing", state=served.state)
