"""Requests that a component answers itself."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading

import pytest

from airssys.wasm import (
    AddressUnavailable,
    Ceilings,
    HttpLimits,
    HttpRoute,
    InvalidSetting,
    UnknownDeployment,
)
from airssys.wasm.engine import Engine
from airssys.wasm.host import Host
from airssys.wasm.settings import settings_from

LIFETIMES = [{"lifetime": "call"}, {"lifetime": "pooled", "instances": 2}]


def problem(answer) -> str:
    """Return the code of a problem that came as the body of an answer."""
    status, body = answer
    document = json.loads(body)
    assert document["status"] == status
    return document["type"].removeprefix("urn:airssys:problem:")


@pytest.mark.parametrize("settings", LIFETIMES)
def test_a_component_answers(serve, client, settings, settled):
    ingress, site = serve("http-hello", **settings)
    for _ in range(5):
        status, headers, body = client(ingress.address).request("GET", "/")
        assert (status, body) == (200, b"hello\n")
        assert headers["content-type"] == "text/plain"
    statistics = settled(site).statistics()
    assert (statistics.calls, statistics.failures, statistics.in_flight) == (5, 0, 0)
    assert statistics.bytes_out == 5 * len(b"hello\n")
    counted = ingress.statistics()
    assert (counted.requests, counted.successful, counted.connections_accepted) == (5, 5, 5)


def test_what_the_component_is_told_of_a_request(serve, client):
    ingress, _ = serve()
    headers = {
        "Host": "www.example.com",
        "X-Own": "kept",
        "Connection": "close, X-Hop",
        "X-Hop": "for the connection alone",
        "TE": "trailers",
        "X-Forwarded-For": "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "Proxy-Authorization": "Basic x",
    }
    _, _, body = client(ingress.address).request("GET", "/head?a=b%20c", headers=headers)
    first, *rest = body.decode().splitlines()
    assert first == "GET www.example.com /head?a=b%20c"
    names = {line.partition(":")[0] for line in rest}
    assert names == {"accept-encoding", "x-own"}


def test_bodies_stream_both_ways(serve, raw, settled):
    ingress, site = serve()
    connection = raw(ingress.address)
    connection.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    status, headers = connection.head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    # Each piece comes back before the next is sent: neither side holds the whole.
    for piece in (b"one", b"two and more", b"x" * 5000):
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        back = b""
        while len(back) < len(piece):
            size = int(connection._file.readline(), 16)
            back += connection._file.read(size)
            connection._file.readline()
        assert back == piece
    connection.send("0\r\n\r\n")
    assert connection._file.readline() == b"0\r\n"
    connection._file.readline()
    # The connection is kept.
    connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.answer() == (200, b"faults\n")
    assert settled(site).statistics().failures == 0


def test_large_bodies_pass_whole(serve, client, settled):
    ingress, site = serve()
    sent = bytes(range(256)) * 8192
    status, _, body = client(ingress.address).request("POST", "/echo", sent)
    assert (status, body) == (200, sent)
    status, body = client(ingress.address).get("/big/8")
    assert (status, len(body)) == (200, 8 << 20)
    statistics = settled(site).statistics()
    assert statistics.bytes_in == len(sent)
    assert statistics.bytes_out == len(sent) + (8 << 20)


def test_head_requests_and_statuses(serve, client, settled):
    ingress, site = serve()
    ask = client(ingress.address)
    status, _, body = ask.request("HEAD", "/")
    assert (status, body) == (200, b"")
    for expected in (204, 301, 404, 499, 500, 503):
        status, _ = ask.get(f"/status/{expected}")
        assert status == expected
    counted = ingress.statistics()
    assert (counted.successful, counted.redirected) == (2, 1)
    assert (counted.client_errors, counted.server_errors) == (2, 2)
    # An answer of 500 and above is a failure of the revision; one of 4xx is not.
    assert settled(site).statistics().failures == 2


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/trap", 502, "trap"),
        ("/silent", 502, "no-answer"),
        ("/refuse", 502, "refused"),
        ("/loop", 504, "timeout"),
        ("/sleep", 504, "timeout"),
        ("/memory", 503, "limit"),
    ],
)
@pytest.mark.parametrize("settings", LIFETIMES)
def test_a_component_that_fails_is_told_as_a_problem(
    serve, client, path, status, code, settings, settled
):
    ingress, site = serve(call_timeout=0.3, **settings)
    ask = client(ingress.address)
    answered, headers, body = ask.request("GET", path)
    assert (answered, problem((answered, body))) == (status, code)
    assert headers["content-type"] == "application/problem+json"
    assert (status == 503) == ("retry-after" in headers)
    assert ask.get("/") == (200, b"faults\n")
    statistics = settled(site).statistics()
    assert (statistics.calls, statistics.failures, statistics.in_flight) == (2, 1, 0)


@pytest.mark.parametrize("path", ["/trap-later/2", "/cut/2"])
def test_an_answer_that_breaks_off_does_not_look_whole(serve, raw, client, path):
    ingress, _ = serve()
    connection = raw(ingress.address)
    connection.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.head()[0] == 200
    rest = connection.rest()
    assert b"the beginning" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert ingress.statistics().cut_off == 1
    assert client(ingress.address).get("/") == (200, b"faults\n")


def test_work_after_the_answer_goes_on(serve, client, settled):
    ingress, site = serve()
    assert client(ingress.address).get("/after/200") == (200, b"faults\n")
    site.remove()  # waits for it
    assert settled(site)._serving._statistics[1].snapshot()["failures"] == 0


def test_a_client_that_leaves_ends_the_work_for_it(serve, raw, until, settled):
    ingress, site = serve(call_timeout=600.0)
    connection = raw(ingress.address)
    connection.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
    line = site._serving._line
    until(lambda: line.in_flight == 1)
    connection.close()
    until(lambda: line.in_flight == 0)
    snapshot = settled(site)._serving._statistics[1].snapshot()
    assert (snapshot["calls"], snapshot["cancelled"]) == (1, 1)


def test_two_revisions_share_the_requests_by_weight_and_key(serve, client, guest):
    ingress, site = serve(routes=[HttpRoute("acme/site", key_header="X-User")])
    line = site._serving.prepare(
        2, Engine().load(guest("http-hello")), settings_from(lifetime="call")
    ).line
    trial = site._serving.route.split(line, 0.5, salt=b"salt")
    ask = client(ingress.address)
    sides = {}
    for _ in range(2):
        for user in range(24):
            _, body = ask.get("/", **{"X-User": f"user {user}"})
            assert sides.setdefault(user, body) == body
    assert set(sides.values()) == {b"faults\n", b"hello\n"}
    hello = list(sides.values()).count(b"hello\n")
    # A key is one unit, however many requests it makes.
    assert trial.stages()[0].calls == (24 - hello, hello)
    trial.set_weight(0.0)
    for path in ("/status/500", "/trap", "/status/404"):
        ask.get(path)
    bad = trial.stages()[1].bad
    assert (bad["error"], bad["trap"]) == ((2, 0), (1, 0))
    trial.finish(promote=True)
    assert ask.get("/trap") == (200, b"hello\n")


def test_routes_by_host_and_path_change_while_requests_come(host, guest, client):
    for name in ("http-hello", "http-faults"):
        host.deploy(guest(name), name=f"acme/{name}")
    hello, faults = HttpRoute("acme/http-hello"), HttpRoute("acme/http-faults", host="b.example")
    with host.serve_http("127.0.0.1:0", routes=[hello, faults]) as ingress:
        ask = client(ingress.address)
        assert ask.get("/x/y") == (200, b"hello\n")
        assert ask.get("/", Host="B.example:80") == (200, b"faults\n")
        assert ask.get("/", Host="b.example.") == (200, b"faults\n")
        ingress.set_routes([HttpRoute("acme/http-faults", path="/status", exact=False)])
        assert ask.get("/status/201") == (201, b"as told\n")
        status, body = ask.get("/other")
        assert (status, problem((status, body))) == (404, "no-rule")
        with pytest.raises(UnknownDeployment):
            ingress.set_routes([HttpRoute("acme/nothing")])
        with pytest.raises(InvalidSetting, match="both for"):
            ingress.set_routes([hello, hello])
        with pytest.raises(InvalidSetting, match="begins with '/'"):
            ingress.set_routes([HttpRoute("acme/http-hello", path="x")])
        assert ask.get("/status/201") == (201, b"as told\n")
        assert ingress.statistics().unmatched == 1


def test_a_deployment_that_comes_back_under_its_name_answers_again(serve, host, client, guest):
    ingress, site = serve("http-hello")
    ask = client(ingress.address)
    site.remove()
    status, body = ask.get("/")
    assert (status, problem((status, body))) == (503, "unavailable")
    host.deploy(guest("http-faults"), name="acme/site")
    assert ask.get("/") == (200, b"faults\n")


def test_a_deployment_without_a_handler_says_so(serve, client, settled):
    ingress, site = serve("calculator")
    status, body = client(ingress.address).get("/")
    assert (status, problem((status, body))) == (501, "no-handler")
    assert settled(site).statistics().calls == 0


def test_too_many_requests_at_once_are_refused(serve, raw, client, until):
    limits = HttpLimits(requests=1, waiting=0)
    ingress, site = serve(limits=limits, call_timeout=600.0)
    busy = raw(ingress.address)
    busy.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: site._serving._line.in_flight == 1)
    status, headers, body = client(ingress.address).request("GET", "/")
    assert (status, problem((status, body))) == (503, "overloaded")
    assert headers["retry-after"] == "1"
    busy.close()
    until(lambda: site._serving._line.in_flight == 0)
    until(lambda: ingress.statistics().active == 0)
    assert client(ingress.address).get("/") == (200, b"faults\n")
    assert ingress.statistics().overloaded == 1


def test_one_that_waits_gets_its_turn(serve, raw, client, until):
    limits = HttpLimits(requests=1, waiting=1, patience=30.0)
    ingress, site = serve(limits=limits, call_timeout=600.0)
    busy, waits = raw(ingress.address), raw(ingress.address)
    busy.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: site._serving._line.in_flight == 1)
    waits.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: ingress.statistics().requests == 2)
    assert client(ingress.address).get("/")[0] == 503
    busy.close()
    assert waits.answer() == (200, b"faults\n")


def test_a_ceiling_on_calls_is_told_as_too_many_requests(host, guest, client):
    host.deploy(guest("http-hello"), name="acme/site", ceilings=Ceilings(calls_per_second=1))
    with host.serve_http("127.0.0.1:0", routes=[HttpRoute("acme/site")]) as ingress:
        ask = client(ingress.address)
        answers = [ask.get("/") for _ in range(20)]
        refused = [answer for answer in answers if answer[0] == 429]
        assert refused
        assert {problem(answer) for answer in refused} == {"too-many-requests"}


def test_a_unix_socket(host, guest, tmp_path):
    host.deploy(guest("http-hello"), name="acme/hello")
    path = tmp_path / "http.sock"
    for _ in range(2):
        ingress = host.serve_http(f"unix:{path}", routes=[HttpRoute("acme/hello")])
        assert ingress.address == f"unix:{path}"
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello\n"
        connection.close()
        ingress.close()
        assert not path.exists()


def test_an_address_that_is_taken_is_named(serve, host):
    ingress, _ = serve()
    with pytest.raises(AddressUnavailable, match=ingress.address):
        host.serve_http(ingress.address, routes=[HttpRoute("acme/site")])
    assert len(host._core.ingresses._open) == 1


def test_closing_waits_for_requests_under_way_and_takes_no_more(serve, raw, until):
    ingress, site = serve()
    connection, idle = raw(ingress.address), raw(ingress.address)
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert idle.answer() == (200, b"faults\n")
    connection.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    until(lambda: site._serving._line.in_flight == 1)
    closing = threading.Thread(target=ingress.close, kwargs={"drain": 30.0})
    closing.start()
    # The idle connection ends at once, and nobody listens any more.
    assert idle.rest() == b""
    with pytest.raises(OSError):
        raw(ingress.address)
    connection.send("cd")
    assert connection.answer() == (200, b"4\n")
    assert connection.rest() == b""
    closing.join(30)
    assert not closing.is_alive()


def test_closing_ends_what_takes_longer_than_the_drain(serve, raw, until):
    ingress, site = serve(call_timeout=600.0)
    connection = raw(ingress.address)
    connection.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: site._serving._line.in_flight == 1)
    ingress.close(drain=0.05)
    assert connection.rest() == b""
    until(lambda: site._serving._line.in_flight == 0)
    ingress.close()


@pytest.mark.anyio
async def test_an_awaited_host_serves_too(tmp_path, guest, client):
    async with Host.open(tmp_path / "state") as host:
        await host.deploy(guest("http-hello"), name="acme/site")
        ingress = await host.serve_http("127.0.0.1:0", routes=[HttpRoute("acme/site")])
        answer = await asyncio.to_thread(client(ingress.address).get, "/")
        assert answer == (200, b"hello\n")
        await ingress.close()
        another = await host.serve_http("127.0.0.1:0", routes=[HttpRoute("acme/site")])
        address = another.address
    with pytest.raises(OSError):
        client(address).get("/")
