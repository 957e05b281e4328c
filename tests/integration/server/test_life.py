"""A server's end, orderly and not, and what it tells while it lives."""

from __future__ import annotations

import json
import signal
import socket
import threading

import pytest
from raw import ask, connect

from airssys.wasm import Canary, Host, HostClosed, Limits
from airssys.wasm.remote.errors import ServerUnreachable

pytestmark = pytest.mark.timeout(240)


def in_flight(host, name: str) -> None:
    """Wait until a call of a deployment runs."""
    deployment = host.deployment(name)
    while deployment.statistics().in_flight == 0:
        pass


def read_until(connected: socket.socket, text: bytes) -> None:
    found = b""
    while text not in found:
        chunk = connected.recv(65536)
        assert chunk, found[-1000:]
        found += chunk


class Calling(threading.Thread):
    """A call under way, and what came of it."""

    def __init__(self, deployment, milliseconds: int) -> None:
        super().__init__()
        self.outcome: object = None
        self._deployment, self._milliseconds = deployment, milliseconds
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._deployment.call("sleep", self._milliseconds)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error
        else:
            self.outcome = "ended"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_lets_calls_end_and_exits_with_0(served, guest, number):
    with Host.connect_blocking(served.address) as host:
        sleepy = host.deploy(guest("clock-random"), name="acme/sleepy")
        calling = Calling(sleepy, 2000)
        in_flight(host, "acme/sleepy")
        code, errors = served.end(number)
        calling.join()
    assert calling.outcome == "ended"
    assert (code, "Traceback" in errors) == (0, False), errors
    assert not (served.state / "control.sock").exists()
    assert not (served.state / "uploads").exists()


def test_what_does_not_end_in_time_is_ended(serve, tmp_path, guest):
    server = serve(tmp_path / "state", "--drain", "0.5")
    with Host.connect_blocking(server.address) as host:
        limits = Limits(call_timeout=3600)
        sleepy = host.deploy(guest("clock-random"), name="acme/sleepy", limits=limits)
        calling = Calling(sleepy, 3_600_000)
        in_flight(host, "acme/sleepy")
        stuck = connect(server.socket)
        stuck.sendall(b"GET /v1/ho")
        code, _ = server.end()
        calling.join()
        stuck.close()
    assert code == 0
    assert getattr(calling.outcome, "code", None) in {"call-drained", "server-unreachable"}


def test_a_second_signal_ends_it_at_once(served, guest):
    with Host.connect_blocking(served.address) as host:
        limits = Limits(call_timeout=3600)
        sleepy = host.deploy(guest("clock-random"), name="acme/sleepy", limits=limits)
        calling = Calling(sleepy, 3_600_000)
        in_flight(host, "acme/sleepy")
        with connect(served.socket) as listening:
            listening.sendall(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            read_until(listening, b"airssys events")
            served.process.send_signal(signal.SIGTERM)
            # The first signal has arrived when the events end.
            read_until(listening, b"event: end")
        code, _ = served.end(signal.SIGTERM)
        calling.join()
    assert code == 128 + signal.SIGTERM
    assert isinstance(calling.outcome, ServerUnreachable)


def test_after_a_kill_everything_comes_back(serve, tmp_path, guest):
    server = serve(tmp_path / "state")
    with Host.connect_blocking(server.address) as host:
        calc = host.deploy(guest("calculator"), name="acme/calc")
        calc.deploy(guest("calculator-1-1"))
        counter = host.deploy(guest("counter-rust"), name="acme/counter", lifetime="actor")
        assert counter.actor("ann").alive
    server.end(signal.SIGKILL)
    assert (server.state / "control.sock").exists()
    again = serve(server.state)
    with Host.connect_blocking(again.address) as host:
        assert [each.name for each in host.deployments()] == ["acme/calc", "acme/counter"]
        calc = host.deployment("acme/calc")
        assert (calc.api.version(), calc.rollback().number) == ("1.1.0", 1)
        assert [each.key for each in host.actors("acme/counter")] == ["", "ann"]
    assert again.end()[0] == 0


def test_one_server_for_a_state_directory(served, serve):
    with pytest.raises(AssertionError, match="is in use by process"):
        serve(served.state)


def test_a_service_manager_is_told(serve, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(str(tmp_path / "notify"))
        server = serve(tmp_path / "state", NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(100) == b"READY=1"
        server.end()
        assert manager.recv(100) == b"STOPPING=1"


def test_events_come_as_they_happen_and_go_on_after_one(shared, guest):
    with Host.connect_blocking(shared.address) as host:
        events = host.events(after=0)
        calc = host.deploy(guest("calculator"), name="event/calc", why="new")
        first = next(each for each in events if each.deployment == "event/calc")
        assert (first.kind, first.facts["revision"], first.facts["why"]) == ("deployed", 1, "new")
        calc.deploy(guest("calculator-1-1"))
        calc.rollback()
        calc.remove()
        rest = [next(events).kind for _ in range(3)]
        assert rest == ["deployed", "rolled-back", "removed"]
        events.close()
        again = [each.kind for each in host.events(follow=False, after=first.sequence)]
        assert again == rest


def test_rollouts_are_told(shared, guest):
    with Host.connect_blocking(shared.address) as host:
        calc = host.deploy(guest("calculator"), name="told/calc")
        strategy = Canary(steps=[50])
        rollout = calc.deploy(guest("calculator-1-1"), strategy=strategy, wait=False, why="try it")
        rollout.abort(why="no")
        events = [each for each in host.events(follow=False) if each.deployment == "told/calc"]
    told = [each.facts["did"] for each in events if each.kind == "rollout"]
    assert (told[0], told[-1]) == ("step", "taken-back")
    assert events[-1].facts["why"] == "no"


def test_a_slow_listener_has_a_gap_and_nobody_waits(serve, tmp_path, guest):
    server = serve(tmp_path / "state", "--patience", "200")
    content = guest("calculator").read_bytes()
    with Host.connect_blocking(server.address) as host, connect(server.socket) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        read_until(slow, b"airssys events")
        calc = host.deploy(content, name="slow/calc")
        calc.deploy(guest("calculator-1-1"))
        why = "x" * 2000
        for _ in range(300):
            calc.rollback(1, why=why)
            calc.rollback(2, why=why)
        kinds = [each.kind for each in host.events(follow=False)]
        assert len(kinds) >= 600
        read_until(slow, b"event: gap")


def test_metrics_count_what_was_called(shared, guest):
    with Host.connect_blocking(shared.address) as host:
        calc = host.deploy(guest("calculator"), name="count/calc")
        for number in range(3):
            calc.call("add", number, 1)
    status, headers, body = ask(shared.socket, "GET", "/metrics")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    lines = body.decode().splitlines()
    expected = 'airssys_calls_total{deployment="count/calc",outcome="ok",revision="1"} 3.0'
    assert expected in lines, [each for each in lines if "count/calc" in each]
    assert any(each.startswith("airssys_call_latency_seconds{") for each in lines)


def test_the_description_names_every_operation(shared):
    document = json.loads(ask(shared.socket, "GET", "/v1/openapi.json")[2])
    assert document["openapi"] == "3.1.0"
    called = document["paths"]["/v1/deployments/{name}:rollback"]["post"]
    assert "`deploy`" in called["description"]
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


def test_a_server_that_ends_takes_nothing_new(served, guest):
    assert ask(served.socket, "GET", "/readyz")[2] == b"ready\n"
    with Host.connect_blocking(served.address) as host:
        sleepy = host.deploy(guest("clock-random"), name="acme/sleepy")
        calling = Calling(sleepy, 3000)
        in_flight(host, "acme/sleepy")
        events = host.events(after=0)
        next(events)
        served.process.send_signal(signal.SIGTERM)
        assert list(events) == []
        with pytest.raises((ServerUnreachable, HostClosed)):
            Host.connect_blocking(served.address)
        calling.join()
    assert calling.outcome == "ended"
    _, errors = served.process.communicate(timeout=60)
    assert served.process.returncode == 0, errors
