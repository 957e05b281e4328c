"""`airssys kv`: what it prints where, and how it ends."""

from __future__ import annotations

import dataclasses
import io
import json
import sys

import pytest

from airssys.cli.main import main
from airssys.wasm import BlockingStorage, Host


@dataclasses.dataclass(frozen=True)
class Done:
    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def kv(state, key_value, tmp_path, capfdbinary, monkeypatch):
    """Run `airssys kv` in this process: another one would spend its time on starting."""
    with Host.open_blocking(state) as host:
        store = host.deploy(key_value, grant="requested", name="acme/store")
        store.api.set("a", b"text", None)
        store.api.set("b/c", b"\x1b[2J\xff", None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, input: bytes = b"") -> Done:  # noqa: A002
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input)))
        with pytest.raises(SystemExit) as ended:
            main(["kv", *map(str, arguments), "--state", str(state)])
        return Done(int(ended.value.code), *capfdbinary.readouterr())

    return run


def document(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_values_are_listed_got_set_and_deleted(kv):
    listed = document(kv("list", "acme/store", "--json"))
    assert [entry["key"] for entry in listed["entries"]] == ["a", "b/c"]
    assert listed["entries"][0]["value"] == "text"
    assert listed["entries"][1]["base64"] == "G1sySv8="
    assert document(kv("list", "acme/store", "--limit", 1, "--json"))["more"] is True
    table = kv("list", "acme/store", "--prefix", "b").stdout.decode()
    assert "b/c" in table
    assert "text" not in table
    assert kv("get", "acme/store", "b/c").stdout == b"\x1b[2J\xff"
    assert kv("set", "acme/store", "n", input=b"\x00").returncode == 0
    assert kv("get", "acme/store", "n").stdout == b"\x00"
    assert document(kv("set", "acme/store", "n", "1", "--ttl", 60, "--json"))["key"] == "n"
    assert document(kv("get", "acme/store", "n", "--json"))["expires"] is not None
    [used] = document(kv("usage", "--json"))
    assert (used["name"], used["keys"], used["most_keys"]) == ("acme/store", 3, 100_000)
    assert kv("delete", "acme/store", "n").returncode == 0
    for command in ("get", "delete"):
        done = kv(command, "acme/store", "n")
        assert (done.returncode, done.stdout) == (3, b"")
        assert b"error: 'acme/store' has no key 'n'\nhint: `airssys kv list" in done.stderr


def test_entries_go_out_and_in_and_into_a_backup(kv, tmp_path):
    assert document(kv("export", "acme/store", "out.jsonl", "--json"))["entries"] == 2
    assert kv("delete", "acme/store", "a").returncode == 0
    assert document(kv("import", "acme/store", "out.jsonl", "--json"))["entries"] == 2
    assert kv("get", "acme/store", "a").stdout == b"text"
    assert document(kv("backup", "copy.redb", "--json"))["entries"] == 2
    with BlockingStorage.open(tmp_path / "copy.redb") as storage:
        assert storage.namespace("acme/store").get("a") == b"text"


def test_errors_name_the_thing_and_the_next_step(kv, state, tmp_path):
    done = kv("get", "acme/stoer", "a")
    assert done.returncode == 3
    assert b"did you mean acme/store" in done.stderr
    done = kv("set", "acme/store", "a//b", "1")
    assert done.returncode == 2
    assert b"empty segment" in done.stderr
    done = kv("set", "acme/store", "k" * 257, "1")
    assert done.returncode == 1
    assert b"Limits(storage_key=...)" in done.stderr
    (tmp_path / "bad.jsonl").write_text('{"key": 1}\n')
    done = kv("import", "acme/store", "bad.jsonl")
    assert done.returncode == 2
    assert b"bad.jsonl, line 1" in done.stderr
    with Host.open_blocking(state):
        done = kv("list", "acme/store")
        assert done.returncode == 4
        assert b"is in use" in done.stderr
    (state / "kv" / "storage.redb").write_bytes(b"torn")
    done = kv("list", "acme/store")
    assert done.returncode == 4
    assert b"storage.redb is damaged" in done.stderr
    assert b"hint: restore it from a backup" in done.stderr
    assert b"Traceback" not in done.stderr
