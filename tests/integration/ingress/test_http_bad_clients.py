"""Clients that stall, send garbage, or never read: bounded, counted, and others are served on."""

from __future__ import annotations

import json
import socket
import struct

import pytest

from airssys.wasm import HttpLimits

FAINT = HttpLimits(header_time=0.2, silence=0.2)


@pytest.fixture
def others(client):
    """Ask for something ordinary meanwhile."""

    def check(ingress) -> None:
        assert client(ingress.address).get("/") == (200, b"faults\n")

    return check


def code(body: bytes) -> str:
    return json.loads(body)["type"].removeprefix("urn:airssys:problem:")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: ",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_a_client_that_stalls_before_its_head_is_complete_is_let_go(
    serve, raw, others, until, sent
):
    ingress, _ = serve(limits=FAINT)
    connection = raw(ingress.address)
    connection.send(sent)
    connection.rest()  # ends, by the other side
    others(ingress)
    until(lambda: ingress.statistics().connections == 0)
    assert ingress.statistics().requests == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x7f" * 200, 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_garbage_is_answered_and_ends_the_connection(
    serve, raw, others, until, sent, status, settled
):
    ingress, site = serve()
    connection = raw(ingress.address)
    connection.send(sent)
    assert connection.head()[0] == status
    connection.rest()
    until(lambda: ingress.statistics().connections_failed == 1)
    others(ingress)
    assert settled(site).statistics().calls == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "host"),
        (b"GET / HTTP/1.0\r\n\r\n", "host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "host"),
        (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", "host"),
        (b"GET / HTTP/1.1\r\nHost: u:p@a\r\n\r\n", "host"),
        (b"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", "host"),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "host"),
        (b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", "path"),
        (b"GET /a%2F..%2fb HTTP/1.1\r\nHost: a\r\n\r\n", "path"),
    ],
)
def test_a_request_that_servers_read_in_different_ways_is_refused(
    serve, raw, others, sent, expected
):
    ingress, _ = serve()
    connection = raw(ingress.address)
    connection.send(sent)
    status, body = connection.answer()
    assert (status, code(body)) == (400, expected)
    others(ingress)


def test_a_length_beside_a_transfer_encoding_smuggles_nothing(serve, raw, others, settled):
    ingress, site = serve()
    connection = raw(ingress.address)
    connection.send(
        "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n"
        "\r\n0\r\n\r\nGET /trap HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    # The encoding counts, and whatever follows is not read.
    assert connection.answer() == (200, b"0\n")
    assert connection.rest() == b""
    others(ingress)
    assert (settled(site).statistics().calls, settled(site).statistics().failures) == (2, 0)


def test_a_tunnel_is_refused(serve, raw, others):
    ingress, _ = serve()
    connection = raw(ingress.address)
    connection.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
    status, body = connection.answer()
    assert (status, code(body)) == (501, "tunnel")
    others(ingress)


def test_a_body_that_is_announced_too_large_is_refused_before_the_component(
    serve, raw, others, settled
):
    ingress, site = serve(limits=HttpLimits(body_bytes=1000))
    connection = raw(ingress.address)
    connection.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
    status, body = connection.answer()
    assert (status, code(body)) == (413, "body-too-large")
    assert settled(site).statistics().calls == 0
    others(ingress)


def test_a_body_that_grows_too_large_ends_for_the_component(serve, raw, others, settled):
    ingress, site = serve(limits=HttpLimits(body_bytes=1000))
    connection = raw(ingress.address)
    connection.send("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.send(b"3e8\r\n%s\r\n1\r\ny\r\n" % (b"x" * 1000))
    assert connection.answer() == (400, b"ended after 1000\n")
    others(ingress)
    assert settled(site).statistics().failures == 0


def test_a_client_that_stops_in_the_middle_of_its_body_is_let_go(serve, raw, others, settled):
    ingress, site = serve(limits=FAINT)
    connection = raw(ingress.address)
    connection.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    assert connection.answer() == (400, b"ended after 2\n")
    connection.rest()
    others(ingress)
    # The component was told, and did nothing wrong.
    assert settled(site).statistics().failures == 0


def test_a_stall_in_the_body_is_not_the_fault_of_the_revision(serve, raw, others, settled):
    ingress, site = serve(call_timeout=0.2)
    connection = raw(ingress.address)
    connection.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    status, body = connection.answer()
    assert (status, code(body)) == (504, "timeout")
    others(ingress)
    snapshot = settled(site)._serving._statistics[1].snapshot()
    assert (snapshot["cancelled"], snapshot["limits"]) == (1, 0)
    assert ingress.statistics().stalled == 1


def test_a_client_that_never_reads_is_let_go(serve, raw, others, until, settled):
    ingress, site = serve(limits=FAINT, call_timeout=600.0)
    connection = raw(ingress.address)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.send("GET /big/64 HTTP/1.1\r\nHost: a\r\n\r\n")
    line = site._serving._line
    until(lambda: ingress.statistics().connections_failed == 1)
    until(lambda: line.in_flight == 0)
    others(ingress)
    assert ingress.statistics().abandoned == 1
    # What it held of the answer was a little, not the 64 MiB.
    assert settled(site).statistics().bytes_out < 16 << 20


def test_a_call_that_waits_for_a_client_to_read_is_not_the_fault_of_the_revision(
    serve, raw, others, until, settled
):
    ingress, site = serve(call_timeout=2.0)
    connection = raw(ingress.address)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.send("GET /big/64 HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: ingress.statistics().stalled == 1)
    others(ingress)
    snapshot = settled(site)._serving._statistics[1].snapshot()
    assert (snapshot["cancelled"], snapshot["limits"]) == (1, 0)
    connection.close()


def test_clients_that_reset_in_the_middle_are_counted(serve, raw, others, until, settled):
    ingress, site = serve(call_timeout=600.0)
    for path in ("/sleep", "/big/64"):
        connection = raw(ingress.address)
        connection.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: site._serving._line.in_flight == 1)
        # Closing with no linger resets the connection.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        until(lambda: site._serving._line.in_flight == 0)
    others(ingress)
    snapshot = settled(site)._serving._statistics[1].snapshot()
    assert snapshot["cancelled"] >= 1
    assert snapshot["traps"] == 0


def test_a_half_closed_client_is_bounded(serve, raw, others, until):
    ingress, site = serve(call_timeout=600.0)
    connection = raw(ingress.address)
    connection.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: site._serving._line.in_flight == 1)
    connection.socket.shutdown(socket.SHUT_WR)
    # Whoever ends its side is taken as gone.
    assert connection.rest() == b""
    until(lambda: site._serving._line.in_flight == 0)
    others(ingress)


def test_pipelined_requests_are_answered_in_order(serve, raw, settled):
    ingress, site = serve()
    connection = raw(ingress.address)
    paths = ["/", "/status/404", "/trap", "/", "/status/201"]
    connection.send("".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths))
    assert [connection.answer()[0] for _ in paths] == [200, 404, 502, 200, 201]
    assert settled(site).statistics().calls == len(paths)


def test_connections_beyond_the_limit_are_closed(serve, raw, until):
    ingress, _ = serve(limits=HttpLimits(connections=2))
    kept = [raw(ingress.address) for _ in range(2)]
    until(lambda: ingress.statistics().connections == 2)
    assert raw(ingress.address).rest() == b""
    for connection in kept:
        connection.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert connection.answer() == (200, b"faults\n")
        connection.rest()
    until(lambda: ingress.statistics().connections == 0)
    again = raw(ingress.address)
    again.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert again.answer() == (200, b"faults\n")
    assert ingress.statistics().connections_refused == 1
