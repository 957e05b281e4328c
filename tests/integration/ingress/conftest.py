from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest

from airssys.wasm import HttpLimits, HttpRoute, Limits

#: Seconds after which a test that waits for the other side fails instead of hanging.
PATIENCE = 30.0


class Raw:
    """A client that sends what it is told, byte by byte."""

    def __init__(self, address: str) -> None:
        name, _, port = address.rpartition(":")
        self.socket = socket.create_connection((name, int(port)), timeout=PATIENCE)
        self._file = self.socket.makefile("rb")

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer: its status and its headers."""
        status = self._file.readline()
        assert status.startswith(b"HTTP/1."), status
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(status.split()[1]), headers

    def answer(self) -> tuple[int, bytes]:
        """Read a whole answer."""
        status, headers = self.head()
        if "content-length" in headers:
            return status, self._file.read(int(headers["content-length"]))
        assert headers.get("transfer-encoding") == "chunked", headers
        body = b""
        while size := int(self._file.readline().strip() or b"0", 16):
            body += self._file.read(size)
            assert self._file.readline() == b"\r\n"
        self._file.readline()
        return status, body

    def rest(self) -> bytes:
        """Read until the other side ends the connection, however it does."""
        try:
            return self._file.read()
        except ConnectionError:
            return b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def raw():
    """Connect to an address, to send what no client library would."""
    clients = []

    def connect(address: str) -> Raw:
        clients.append(Raw(address))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def until():
    """Wait for something that tells nobody, within the patience of a test."""

    def wait(condition) -> None:
        for _ in range(int(PATIENCE * 100)):
            if condition():
                return
            threading.Event().wait(0.01)
        raise AssertionError("it did not happen")

    return wait


@pytest.fixture
def settled(until):
    """Wait until no call of a deployment runs: an answer comes before its call is counted."""

    def wait(deployment):
        until(lambda: deployment._serving._line.in_flight == 0)
        return deployment

    return wait


class Client:
    """One ordinary client, with a connection for each request."""

    def __init__(self, address: str) -> None:
        self.address = address

    def request(self, method: str, path: str, body=None, headers=None):
        """Return the status, the headers and the body of the answer."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path: str, **headers: str):
        status, _, body = self.request("GET", path, headers=headers)
        return status, body

    def post(self, path: str, value) -> tuple[int, object]:
        """Send JSON, and return the JSON of the answer."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = {"Content-Type": "application/json"}
        status, _, body = self.request("POST", path, body, headers)
        return status, json.loads(body) if body else None


@pytest.fixture
def client():
    """Make a client for an address."""
    return Client


@pytest.fixture
def serve(host, guest):
    """Deploy a guest and serve it; returns the ingress and the deployment."""

    def start(name="http-faults", *, routes=None, limits=None, call_timeout=10.0, **settings):
        deployment = host.deploy(
            guest(name), name="acme/site", limits=Limits(call_timeout=call_timeout), **settings
        )
        ingress = host.serve_http(
            "127.0.0.1:0", routes=routes or [HttpRoute("acme/site")], limits=limits or HttpLimits()
        )
        return ingress, deployment

    return start
