"""HTTP requests are copied to a new revision that nobody sees; their answers are compared."""

from __future__ import annotations

import threading

import pytest

from airssys.wasm import Analysis, HttpRoute, Shadow

QUICK = Analysis(alpha=0.01, min_calls=60, acceptable=0.1, warm_up=0, baseline=10**9)
SHADOW = Shadow(share=100, step_duration=0.05, analysis=QUICK)
FOR_LONG = Shadow(share=100, step_duration=3600, analysis=QUICK)
#: Other bytes, the same component.
MORE = b"\0\x05\x04more"


def answers(status):
    return next(each.bad for each in status.judgement.evidence if each.signal == "answer")


class Load:
    """Sends requests from a thread without a pause, and keeps what was answered."""

    def __init__(self, send):
        self.send = send
        self.answers = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ending.is_set():
            self.answers.update(self.send())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("settings", [{"lifetime": "call"}, {"lifetime": "pooled"}])
def test_requests_are_copied_with_their_bodies_and_the_answers_are_alike(
    serve, client, guest, settings
):
    ingress, site = serve(**settings)
    sender = client(ingress.address)

    def send():
        yield sender.get("/")
        yield sender.get("/status/404")
        for method, path, body in (
            ("POST", "/echo", b"x" * 70_000),
            ("POST", "/length", b"some"),
            ("HEAD", "/", None),
            ("PUT", "/head", b""),
        ):
            status, _, answer = sender.request(method, path, body, {"X-Own": "kept"})
            yield path, status, answer

    with Load(send) as load:
        content = guest("http-faults").read_bytes() + MORE
        rollout = site.deploy(content, strategy=SHADOW, wait=False)
        status = rollout.wait(50)
    assert status.state == "promoted", status.why
    assert answers(status) == (0, 0)
    assert len({each[0] for each in load.answers}) == 6
    # Each request had one answer, whatever the copies did.
    assert len(load.answers) == 6


def test_another_answer_is_found_and_no_client_sees_it(serve, client, guest):
    ingress, site = serve("http-hello")
    sender = client(ingress.address)
    with Load(lambda: {sender.get("/")}) as load:
        rollout = site.deploy(guest("http-faults"), strategy=SHADOW, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back"
    assert status.why.startswith("answer: ")
    live, new = answers(status)
    assert (live, new > 5) == (0, True)
    assert load.answers == {(200, b"hello\n")}


def test_what_is_too_large_or_not_read_to_its_end_is_left_out(serve, client, guest, until):
    ingress, site = serve()
    sender = client(ingress.address)
    rollout = site.deploy(guest("http-faults").read_bytes() + MORE, strategy=FOR_LONG, wait=False)

    def left_out(send):
        compared, before = rollout.status().copies
        send()
        until(lambda: rollout.status().copies[1] > before)
        assert rollout.status().copies == (compared, before + 1)

    left_out(lambda: sender.request("POST", "/length", b"x" * (1 << 20)))
    left_out(lambda: sender.get("/big/2"))
    # The greeting asks for no body.
    left_out(lambda: sender.request("POST", "/", b"unread"))
    # There is no answer to compare with.
    left_out(lambda: sender.get("/refuse"))
    left_out(lambda: sender.get("/trap"))
    assert sender.request("POST", "/length", b"four")[0] == 200
    until(lambda: rollout.status().copies[0] == 1)
    assert rollout.abort().state == "taken-back"


def test_the_live_answer_does_not_wait_for_a_copy(serve, client, guest, until):
    """Copies go on for a minute after their answers; requests do not."""
    ingress, site = serve(call_timeout=60.0, drain=0.1)
    sender = client(ingress.address)
    rollout = site.deploy(guest("http-faults").read_bytes() + MORE, strategy=FOR_LONG, wait=False)
    for _ in range(4):
        assert sender.get("/after/60000")[0] == 200
    # All the room is taken, and requests are answered as ever.
    before = rollout.status().copies[1]
    for _ in range(10):
        assert sender.get("/") == (200, b"faults\n")
    assert rollout.status().copies == (0, before + 10)
    # Taking it back ends the copies where they are.
    assert rollout.abort().state == "taken-back"


def test_functions_that_are_called_by_http_are_copied(host, guest, client, until):
    calc = host.deploy(guest("calculator"), name="acme/calc")
    ingress = host.serve_http("127.0.0.1:0", routes=[HttpRoute("acme/calc", handling="functions")])
    rollout = calc.deploy(guest("calculator").read_bytes() + MORE, strategy=FOR_LONG, wait=False)
    for number in range(10):
        assert client(ingress.address).post("/add", [number, 1]) == (200, number + 1)
    until(lambda: sum(rollout.status().copies) == 10)
    assert rollout.status().copies[0] > 0
    rollout.abort()
