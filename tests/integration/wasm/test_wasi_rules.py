"""Rules of `airssys.osl` over a running guest: every access decided, recorded, revocable."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys._core import AuditLog, AuditReader, Gate, Subject
from airssys.wasm import Component, Engine, GuestError, Instance, Wasi

if TYPE_CHECKING:
    from collections.abc import Iterator

GUEST = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
WHO = "acme/reader"
REFUSED = "PermissionDenied"
# What Rust's standard library makes of any error of a stream on its first occurrence.
STREAM_ENDED = "Uncategorized"


@pytest.fixture(scope="module")
def reader() -> Component:
    return Engine().load(GUEST)


class Ruled:
    """A gate with its log, and what the guest `acme/reader` is given of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "audit"
        self.log = AuditLog(self.folder)
        self.gate = Gate(self.log)
        self.subject = Subject(WHO, deployment=WHO, revision=3, guest=True)

    def load(self, *rules: dict[str, object]) -> None:
        described = [
            {"id": f"r{number}", "effect": "allow", "principals": [f"name:{WHO}"]} | rule
            for number, rule in enumerate(rules)
        ]
        self.gate.load(json.dumps({"schema": 1, "rules": described}).encode())

    def decisions(self) -> list[tuple[str, str, str, str]]:
        """Operation, target, decision and rule of every record of the guest, in order."""
        self.log.flush()
        lines = [json.loads(line) for line in AuditReader(self.folder, principal=WHO).read()]
        for line in lines:
            who = (line["principal"], line["deployment"], line["revision"], line["guest"])
            assert who == (WHO, WHO, 3, True)
        return [(line["op"], line["target"], line["decision"], line["rule"]) for line in lines]

    def wasi(self, *, folder: Path | None = None) -> Wasi:
        directories = {} if folder is None else {"/data": folder}
        return Wasi(directories=directories, rules=(self.gate, self.subject))


@pytest.fixture
def ruled(tmp_path: Path) -> Iterator[Ruled]:
    made = Ruled(tmp_path)
    with closing(made.log):
        yield made


def refused(instance: Instance, function: str, argument: object, error: str = REFUSED) -> None:
    with pytest.raises(GuestError) as caught:
        instance[function](argument)
    assert caught.value.value == error


def test_a_file_is_refused_then_granted_and_read_until_the_right_is_revoked(
    reader: Component, ruled: Ruled, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_bytes(b"what it says")
    path = str(data / "file")
    grant = {"kind": "filesystem", "targets": [path], "access": ["read"]}
    instance = reader.instantiate(wasi=ruled.wasi(folder=data))

    refused(instance, "open-file", "/data/file")
    ruled.load(grant)
    instance["open-file"]("/data/file")
    assert instance["read-file"](5) == b"what "
    ruled.load()
    refused(instance, "read-file", 5, STREAM_ENDED)
    ruled.load(grant)
    assert instance["read-file"](100) == b"it says"

    assert ruled.decisions() == [
        ("filesystem.read", path, "deny", "default-deny"),
        ("filesystem.read", path, "allow", "r0"),
        ("filesystem.read", path, "deny", "default-deny"),
        ("filesystem.read", path, "allow", "r0"),
    ]


def test_a_connection_ends_when_its_right_is_revoked(reader: Component, ruled: Ruled) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(30)
        address = "{}:{}".format(*server.getsockname())

        def answer() -> None:
            connection, _ = server.accept()
            with closing(connection), connection.makefile("rb") as lines:
                for line in lines:
                    connection.sendall(b"echo " + line)

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        grant = {"kind": "network", "targets": [address], "access": ["connect"]}
        instance = reader.instantiate(wasi=ruled.wasi())
        refused(instance, "open-connection", address)
        ruled.load(grant)
        instance["open-connection"](address)
        assert instance["exchange"]("one") == "echo one"
        ruled.load(grant, grant | {"effect": "deny", "id": "stop"})
        refused(instance, "exchange", "two", STREAM_ENDED)
        instance.close()
        answering.join(10)
        assert not answering.is_alive()

    assert ruled.decisions() == [
        ("network.connect", address, "deny", "default-deny"),
        ("network.connect", address, "allow", "r0"),
        ("network.connect", address, "deny", "stop"),
    ]


def test_rights_are_listed_or_ruled_and_not_both(ruled: Ruled) -> None:
    with pytest.raises(ValueError, match="where a gate decides, write them as its rules"):
        Wasi(http=["example.com"], rules=(ruled.gate, ruled.subject))
    with pytest.raises(ValueError, match="load rules without them"):
        ruled.wasi().revoke()


def test_an_address_beside_the_target_decides_nothing_of_its_own(ruled: Ruled) -> None:
    ruled.load({"kind": "network", "targets": ["127.0.0.1:8000"], "access": ["connect", "listen"]})

    def rule(access: str, target: str, address: str | None = None) -> str:
        decide = ruled.gate.decide
        return decide(ruled.subject, "network", access, target, address=address).rule

    assert rule("listen", "127.0.0.1:8000", "127.0.0.1") == "r0"
    assert rule("connect", "0.0.0.0:8000", "0.0.0.0") == "r0"
    for unspecified in ("0.0.0.0", "::ffff:0.0.0.0"):
        assert rule("listen", f"[{unspecified}]:8000", unspecified) == "default-deny"
        assert rule("listen", "localhost:8000", unspecified) == "default-deny"
        assert rule("listen", "127.0.0.1:8000", unspecified) == "invalid-target"
    assert rule("connect", "8.8.8.8:8000", "127.0.0.1") == "invalid-target"
