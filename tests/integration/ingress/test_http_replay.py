"""Recorded HTTP requests are made again on a new revision before it goes live."""

from __future__ import annotations

import pytest

from airssys.wasm import Replay, ReplayDiffers

#: Other bytes, the same component.
MORE = b"\0\x05\x04more"


@pytest.fixture
def planned(host):
    def plan(site, content):
        settings = site.revision.settings
        return host.plan(content, name=site.name, settings=settings, inherited=True).replay

    return plan


def kept(site, count, until):
    until(lambda: site._serving._recording.holds[0] == count)
    return site._serving._recording.holds


def test_requests_are_made_again_with_their_bodies(serve, client, guest, planned, until):
    ingress, site = serve(replay=Replay())
    sender = client(ingress.address)
    sender.get("/?token=hunter2")
    sender.get("/status/404")
    for method, path, body in (
        ("POST", "/echo", b"x" * 70_000),
        ("POST", "/length", b"some"),
        ("HEAD", "/", None),
        ("PUT", "/head", b""),
    ):
        sender.request(method, path, body, {"X-Own": "kept"})
    _, size, _ = kept(site, 6, until)
    assert size > 70_000
    report = planned(site, guest("http-faults").read_bytes() + MORE)
    assert (report.same, report.different, report.unrepeatable, report.left_out) == (6, 0, 0, 0)
    site.deploy(guest("http-faults").read_bytes() + MORE)
    assert site.revision.number == 2


def test_a_revision_that_answers_a_request_otherwise_is_refused(
    serve, client, guest, planned, until
):
    ingress, site = serve("http-hello", replay=Replay())
    sender = client(ingress.address)
    for _ in range(3):
        assert sender.get("/?token=hunter2&word=said") == (200, b"hello\n")
    kept(site, 3, until)
    with pytest.raises(ReplayDiffers, match="3 of 3 recorded calls are answered otherwise") as said:
        site.deploy(guest("http-faults"))
    assert "hunter2" not in str(said.value)
    report = planned(site, guest("http-faults"))
    first = report.first[0]
    assert (first.function, first.arguments) == ("GET", "/?token=***&word=said")
    assert first.expected.startswith("200 ")
    assert '"hello\\n"' in first.expected
    assert first.got != first.expected
    assert str(first).startswith("GET /?token=***&word=said gives ")
    assert sender.get("/") == (200, b"hello\n")
    # A path that may be answered otherwise is left alone.
    site.deploy(guest("http-hello").read_bytes() + MORE, replay=Replay(ignore=["/"]))
    assert planned(site, guest("http-faults")).different == 0


def test_what_failed_is_too_large_or_has_no_end_is_not_kept(serve, client, until):
    ingress, site = serve(replay=Replay(bytes="64KiB"))
    sender = client(ingress.address)
    assert sender.get("/status/503")[0] == 503
    sender.request("POST", "/length", b"x" * 70_000)
    sender.get("/trap")
    until(lambda: site._serving._recording.holds[2] == 2)
    assert site._serving._recording.holds[:2] == (0, 0)
    sender.request("POST", "/length", b"x" * 40_000)
    sender.request("POST", "/length", b"y" * 40_000)
    until(lambda: 40_000 < site._serving._recording.holds[1] < 65_536)
    assert site._serving._recording.holds[0] == 1


def test_what_answers_no_requests_is_not_compared(host, serve, client, guest, until):
    ingress, site = serve(replay=Replay(calls=2))
    sender = client(ingress.address)
    for number in range(5):
        assert sender.request("POST", "/length", b"x" * number)[0] == 200
    kept(site, 2, until)
    report = host.plan(
        guest("calculator"), name="acme/site", settings=site.revision.settings, inherited=True
    )
    assert (report.replay.different, report.replay.left_out) == (0, 2)
