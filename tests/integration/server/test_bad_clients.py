"""Clients that stall, send garbage, too much, or never read: bounded, and others are served."""

from __future__ import annotations

import base64
import hashlib
import json
import socket

import pytest
from raw import ask, connect, problem, read
from serving_process import starter

from airssys.wasm import Host

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    directory = tmp_path_factory.mktemp("impatient")
    start, stop = starter(directory)
    yield start(directory / "state", "--patience", "1")
    stop()


@pytest.fixture
def well(impatient, guest):
    """What a good client sees, after all that the test did."""
    yield impatient.socket
    assert ask(impatient.socket, "GET", "/healthz")[2] == b"ok\n"
    assert impatient.process.poll() is None


GONE = (BrokenPipeError, ConnectionResetError)


def send_without_end(connected, piece: bytes) -> None:
    while True:
        connected.sendall(piece)


def test_a_client_that_sends_nothing_is_let_go(well):
    with connect(well) as silent:
        assert silent.recv(1) == b""


def test_a_head_that_never_ends_is_let_go(well):
    with connect(well) as slow:
        slow.sendall(b"GET /v1/host HTTP/1.1\r\nhost: local")
        assert slow.recv(1) == b""
    with connect(well) as second:
        second.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /v1")
        assert read(second)[2] == b"ok\n"


def test_a_body_that_never_comes_is_refused(well):
    with connect(well) as slow:
        slow.sendall(
            b"POST /v1/deployments/acme/calc:rollback HTTP/1.1\r\nhost: localhost\r\n"
            b"connection: close\r\ncontent-length: 10\r\n\r\n{"
        )
        assert "did not come within" in problem(read(slow))["detail"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_garbage_is_answered_or_ended(well, garbage):
    with connect(well) as wild:
        wild.sendall(garbage)
        wild.shutdown(socket.SHUT_WR)
        assert read(wild)[0] in {0, 400, 403, 404}


def test_a_huge_head_is_refused(well):
    with connect(well) as large, pytest.raises(GONE):
        send_without_end(large, b"x-filler: " + b"y" * 1000 + b"\r\n")


def test_a_huge_body_is_refused_before_it_comes(well):
    answer = ask(
        well, "POST", "/v1/deployments/acme/calc:rollback", headers={"content-length": str(1 << 40)}
    )
    assert answer[0] == 413
    assert problem(answer)["code"] == "request-too-large"


def test_a_huge_chunked_body_is_refused_as_it_comes(well):
    with connect(well) as large:
        large.sendall(
            b"POST /v1/deployments/acme/calc:rollback HTTP/1.1\r\nhost: localhost\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with pytest.raises(GONE):
            send_without_end(large, chunk)


def test_a_client_that_never_reads_holds_nothing(well, impatient, guest):
    with Host.connect_blocking(impatient.address) as host:
        host.deploy(guest("echo"), name="demo/echo")
        call = json.dumps({"call": f'echo-string("{"x" * 900_000}")'}).encode()
        head = (
            "POST /v1/deployments/demo/echo:call HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: application/json\r\ncontent-length: {len(call)}\r\n\r\n"
        ).encode()
        with connect(well) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(1)
            # Requests without end, no answer read: the server stops reading and then lets go.
            with pytest.raises((*GONE, TimeoutError)):
                send_without_end(deaf, head + call)
            assert host.call("demo/echo", "demo:echo/scalars#echo-u8", 7) == 7
            deaf.settimeout(60)
            with pytest.raises(GONE):
                send_without_end(deaf, head + call)


def test_uploads_are_checked_against_their_digest(well, guest):
    content = guest("calculator").read_bytes()
    good = base64.b64encode(hashlib.sha256(content).digest()).decode()
    bad = base64.b64encode(hashlib.sha256(b"other").digest()).decode()

    def upload(body, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(well, "POST", "/v1/components", body=body, headers=named)

    status, _, body = upload(content, content_digest=f"sha-256=:{good}:")
    assert (status, json.loads(body)["size"]) == (201, len(content))
    mismatch = problem(upload(content, content_digest=f"sha-256=:{bad}:"))
    assert (mismatch["code"], mismatch["status"]) == ("digest-mismatch", 400)
    assert problem(upload(content, content_digest="sha-256=:?:"))["code"] == "invalid-request"
    assert problem(upload(b"", content_length=str(1 << 33)))["code"] == "request-too-large"
    with connect(well) as broken:
        broken.sendall(
            b"POST /v1/components HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"content-length: 1000\r\n\r\n\0asm"
        )
        assert "did not come within" in problem(read(broken))["detail"]


def test_a_deploy_of_what_was_not_uploaded_is_refused(well):
    body = json.dumps({"component": "sha256:" + "0" * 64}).encode()
    answer = ask(well, "PUT", "/v1/deployments/acme/none", body=body)
    assert (answer[0], problem(answer)["code"]) == (404, "unknown-component")
    body = json.dumps({"component": "x", "grants": "all"}).encode()
    assert "grants" in problem(ask(well, "PUT", "/v1/deployments/acme/none", body=body))["detail"]


def test_what_there_is_not_is_said(well):
    assert ask(well, "GET", "/v2/host")[0] == 404
    assert ask(well, "DELETE", "/v1/host")[0] == 405
    wrong = problem(ask(well, "GET", "/v1/deployments/acme/none:logs?levle=info"))
    assert "levle" in wrong["detail"]
