"""Variables, configuration and secrets as `Wasi` gives them: decided, recorded, never shown."""

from __future__ import annotations

import json
import logging
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys._core import AuditLog, AuditReader, Gate, Subject
from airssys.wasm import Component, Engine, Limits, Wasi

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILT = Path(__file__).parents[3] / "build" / "components"
WHO = "acme/client"
KEY = "correct horse battery staple"


@pytest.fixture(scope="module")
def client() -> Component:
    return Engine().load(BUILT / "http-client.wasm")


@pytest.fixture(scope="module")
def surroundings() -> Component:
    return Engine().load(BUILT / "surroundings.wasm")


class Server:
    """Keeps what it is sent, and sends it back."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            connection.settimeout(20)
            with closing(connection):
                sent = b""
                while b"\r\n\r\n" not in sent and (piece := connection.recv(4096)):
                    sent += piece
                if not sent:  # given up before anything was sent
                    continue
                self.seen.append(sent.decode())
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(sent)}\r\n\r\n"
                connection.sendall(head.encode() + sent)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as made:
        yield made


class Ruled:
    """A gate with its log for one guest that may send anything to a server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder / "audit"
        self.log = AuditLog(self.folder)
        self.gate = Gate(self.log)
        self.place = f"http://{server.address}"
        self.load({"kind": "http", "targets": [f"{self.place}/**"], "access": ["*"]})

    def load(self, *rules: dict[str, object]) -> None:
        given = {"effect": "allow", "principals": [f"name:{WHO}"]}
        described = [{"id": f"r{number}"} | given | rule for number, rule in enumerate(rules)]
        self.gate.load(json.dumps({"schema": 1, "rules": described}).encode())

    def grant_key(self) -> None:
        self.load(
            {"kind": "http", "targets": [f"{self.place}/**"], "access": ["*"]},
            {"kind": "environment", "targets": ["KEY"], "access": ["read"]},
            {"kind": "secret", "targets": [f"key@{self.place}/x-key"], "access": ["use"]},
        )

    @property
    def rules(self) -> tuple[Gate, Subject]:
        return self.gate, Subject(WHO, guest=True)

    def records(self, *kinds: str) -> list[tuple[str, str, str]]:
        self.log.flush()
        lines = [json.loads(line) for line in AuditReader(self.folder, principal=WHO).read()]
        assert KEY not in json.dumps(lines)
        return [
            (line["op"], line["target"], line["decision"])
            for line in lines
            if line["op"].split(".")[0] in kinds
        ]


@pytest.fixture
def ruled(tmp_path: Path, server: Server) -> Iterator[Ruled]:
    made = Ruled(tmp_path, server)
    with closing(made.log):
        yield made


def run(component: Component, *commands: str, limits: Limits | None = None, **given) -> list[str]:
    wasi = Wasi(arguments=["guest", *commands], stdout="capture", **given)
    assert component.run(wasi=wasi, limits=limits or Limits()).status == 0
    return wasi.stdout.decode().splitlines()


def test_variables_and_keys_are_decided_by_name(surroundings: Component, ruled: Ruled) -> None:
    ruled.load(
        {"kind": "environment", "targets": ["TZ"], "access": ["read"]},
        {"kind": "config", "targets": ["server.**"], "access": ["read"]},
    )
    lines = run(
        surroundings,
        "env",
        "config|server.port",
        "config|greeting",
        environment={"TZ": "UTC", "HOME": "/root"},
        config={"server.port": "80", "greeting": "hello"},
        rules=ruled.rules,
    )
    assert lines == ["ok:TZ=UTC", "ok:80", "err:none"]
    assert ruled.records("environment", "config") == [
        ("environment.read", "TZ", "allow"),
        ("environment.read", "HOME", "deny"),
        ("config.read", "server.port", "allow"),
        ("config.read", "greeting", "deny"),
    ]


def test_a_secret_of_a_mapping_is_used_and_never_seen(
    client: Component, ruled: Ruled, server: Server
) -> None:
    ruled.grant_key()
    get = f"GET|http|{server.address}|/"
    lines = run(
        client,
        f"{get}|x-key: {{env:KEY}}",
        f"{get}|x-other: {{env:KEY}}",
        environment={"KEY": "${secret:key}"},
        secrets={"key": KEY, "unused": "another secret"},
        rules=ruled.rules,
    )
    assert f"x-key: {KEY}\r\n" in server.seen[0]
    assert len(server.seen) == 1
    assert KEY not in "".join(lines)
    assert "x-key: " + "*" * len(KEY) in "\n".join(lines)
    assert lines[-1] == "err:HttpRequestDenied"
    assert ruled.records("secret") == [
        ("secret.use", f"{ruled.place}/x-key/key", "allow"),
        ("secret.use", f"{ruled.place}/x-other/key", "deny"),
    ]


def test_a_function_is_asked_each_time(client: Component, ruled: Ruled, server: Server) -> None:
    ruled.grant_key()
    asked: list[tuple[str, bool]] = []

    def source(name: str) -> bytes:
        asked.append((name, threading.current_thread() is threading.main_thread()))
        return f"the value {len(asked)}".encode()

    request = f"GET|http|{server.address}|/|x-key: {{env:KEY}}"
    run(
        client,
        request,
        request,
        environment={"KEY": "${secret:key}"},
        secrets=source,
        rules=ruled.rules,
    )
    assert asked == [("key", False)] * 2
    sent = [f"x-key: the value {number}\r\n" for number in (1, 2)]
    assert [value in seen for value, seen in zip(sent, server.seen, strict=True)] == [True, True]


@pytest.mark.parametrize("failure", ["raises", "short", "nothing"])
def test_a_function_that_fails_fails_the_request_and_is_reported(
    client: Component,
    ruled: Ruled,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    failure: str,
) -> None:
    ruled.grant_key()

    def source(_name: str) -> str:
        if failure == "raises":
            raise LookupError("the vault is closed")
        return "tiny" if failure == "short" else None  # type: ignore[return-value]

    with caplog.at_level(logging.ERROR, logger="airssys.wasm.secrets"):
        lines = run(
            client,
            f"GET|http|{server.address}|/|x-key: {{env:KEY}}",
            environment={"KEY": "${secret:key}"},
            secrets=source,
            rules=ruled.rules,
        )
    assert lines == ["err:InternalError"]
    assert server.seen == []
    [record] = caplog.records
    assert record.getMessage() == "the secret key could not be had"
    expected = {
        "raises": "the vault is closed",
        "short": "secret key: a secret has 8 to 8192 bytes, not 4",
        "nothing": "secret key: expected text or bytes, got NoneType",
    }[failure]
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == expected


def test_a_response_beyond_the_limit_is_an_error_of_the_guest(
    client: Component, ruled: Ruled, server: Server
) -> None:
    get = f"GET|http|{server.address}|/"
    long = f"{get}{'a' * 200}"
    limits = Limits(http_response_body=200, http_headers="1KiB")
    lines = run(client, get, long, limits=limits, rules=ruled.rules)
    assert lines[-1] == "err:HttpResponseBodySize"
    assert lines[0].startswith("ok:200")
    assert [decision for _, _, decision in ruled.records("http")] == ["allow", "allow", "deny"]


def test_proxies_of_the_environment_are_not_used(
    client: Component, ruled: Ruled, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Server()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        lines = run(client, f"GET|http|{server.address}|/", rules=ruled.rules)
        assert lines[0].startswith("ok:200")
        assert (len(server.seen), proxy.seen) == (1, [])


def test_what_cannot_work_is_refused_at_once(ruled: Ruled) -> None:
    place = {"KEY": "${secret:key}"}
    for error, expected, given in (
        (ValueError, "no secrets were given", {"environment": place}),
        (ValueError, "no secrets were given", {"config": {"a.key": "Bearer ${secret:key}"}}),
        (ValueError, "secrets has none of this", {"environment": place, "secrets": {}}),
        (
            ValueError,
            "secret key: a secret has 8 to 8192 bytes, not 4",
            {"environment": place, "secrets": {"key": "tiny"}},
        ),
        (ValueError, "no name of a secret", {"environment": {"KEY": "${secret:a/b}"}}),
        (ValueError, "without `}`", {"environment": {"KEY": "${secret:a"}}),
        (ValueError, "no name of a variable", {"environment": {"A=B": "c"}}),
        (ValueError, "is no key", {"config": {"a..b": "c"}}),
        (TypeError, "expected a mapping or a function", {"environment": place, "secrets": 3}),
        (TypeError, "expected text or bytes", {"environment": place, "secrets": {"key": 3}}),
    ):
        with pytest.raises(error, match=expected):
            Wasi(rules=ruled.rules, **given)
    with pytest.raises(ValueError, match="only rules say where the secret key may be used"):
        Wasi(environment=place, secrets={"key": KEY})
