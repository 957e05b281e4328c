"""Components that answer HTTP requests through WASI 0.3 (`wasi:http/handler`)."""

from __future__ import annotations

import pytest

from airssys.wasm import Analysis, Replay, Shadow

#: Other bytes, the same component.
MORE = b"\0\x05\x04more"


@pytest.fixture(params=["call", "pooled"])
def site(request, serve):
    return serve("http-p3", lifetime=request.param)


def test_requests_go_in_whole_and_answers_come_out_whole(site, client, settled):
    ingress, deployment = site
    sender = client(ingress.address)
    assert sender.get("/?a=b") == (200, b"hello from 0.3\n")
    assert sender.get("/status/404") == (404, b"status 404\n")
    large = bytes(range(256)) * 2000
    assert sender.request("POST", "/echo", large)[2] == large
    assert sender.request("POST", "/length", b"x" * 70_000)[2] == b"70000\n"
    assert sender.request("HEAD", "/")[0] == 200
    status, headers, body = sender.request("PUT", "/head?q=1", b"", {"X-Own": "kept"})
    lines = body.decode().splitlines()
    assert (status, headers["content-type"]) == (200, "text/plain")
    assert lines[0] == f"Method::Put {ingress.address} /head?q=1"
    assert "x-own: kept" in lines
    assert sender.get("/drip/3")[1] == b"line 0\nline 1\nline 2\n"
    counts = settled(deployment).statistics()
    assert (counts.calls, counts.failures) == (7, 0)


def test_what_fails_is_answered_and_counted_and_the_next_request_is_fine(site, client, settled):
    ingress, deployment = site
    sender = client(ingress.address)
    assert sender.get("/trap")[0] == 502
    assert sender.get("/refuse")[0] == 502
    assert sender.get("/status/503")[0] == 503
    assert sender.get("/") == (200, b"hello from 0.3\n")
    counts = settled(deployment).statistics()
    assert (counts.calls, counts.failures) == (4, 3)


def test_time_is_bounded(serve, client):
    ingress, _ = serve("http-p3", call_timeout=0.3)
    sender = client(ingress.address)
    assert sender.get("/sleep")[0] == 504
    assert sender.get("/loop")[0] == 504
    assert sender.get("/")[0] == 200


def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(serve, raw):
    ingress, _ = serve("http-p3")
    sender = raw(ingress.address)
    sender.send("GET /trap-later HTTP/1.1\r\nhost: site\r\n\r\n")
    # The head may or may not have left before the trap.
    got = sender.rest()
    assert got == b"" or got.startswith(b"HTTP/1.1 200")
    assert not got.endswith(b"0\r\n\r\n")


def test_a_client_that_goes_away_ends_its_guest(serve, raw, settled):
    ingress, deployment = serve("http-p3", call_timeout=60.0)
    sender = raw(ingress.address)
    sender.send("GET /drip/60000 HTTP/1.1\r\nhost: site\r\n\r\n")
    assert sender.head()[0] == 200
    sender.close()
    settled(deployment)


def test_it_is_shadowed_and_replayed(host, serve, client, guest, until):
    ingress, deployment = serve("http-p3", replay=Replay())
    sender = client(ingress.address)
    sender.request("POST", "/echo", b"some")
    sender.get("/drip/2")
    until(lambda: deployment._serving._recording.holds[0] == 2)
    content = guest("http-p3").read_bytes() + MORE
    settings = deployment.revision.settings
    plan = host.plan(content, name="acme/site", settings=settings, inherited=True)
    report = plan.replay
    assert (report.same, report.different, report.left_out) == (2, 0, 0)
    shadow = Shadow(share=100, step_duration=3600, analysis=Analysis(min_calls=60))
    rollout = deployment.deploy(content, strategy=shadow, wait=False)
    sender.request("POST", "/echo", b"some")
    until(lambda: rollout.status().copies == (1, 0))
    assert rollout.abort().state == "taken-back"
