"""Ways in by resources: each is tried by a real guest beside a neighbour that must not notice.

Each is refused with its typed error, counted by name, told, and leaves the deployment able to take
the next call.
"""

from __future__ import annotations

import dataclasses
import http.server
import itertools
import socketserver
import threading

import pytest

from airssys.osl import read_records
from airssys.wasm import Engine, GuestError, Host, LimitExceeded, Limits, Trap, Wasi
from airssys.wasm.actors import ActorSettings

TABLES = b"""(component
  (core module $m
    (table $t 1 funcref)
    (func (export "grow") (result i32)
      (local $total i32)
      (loop $again
        (local.set $total
          (i32.add (local.get $total) (table.grow $t (ref.null func) (i32.const 10000))))
        (br_if $again (i32.ge_s (local.get $total) (i32.const 0))))
      (local.get $total))
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $i (instantiate $m))
  (func (export "bomb") (result s32) (canon lift (core func $i "grow")))
  (func (export "count") (result s32) (canon lift (core func $i "one"))))"""

BOUNDS = Limits(
    memory="16MiB",
    cpu_per_call=0.1,
    host_call_bytes="256KiB",
    open_handles=50,
    table_elements=50_000,
)

ATTACKS = {
    "busy loop": ("spin", (), "cpu_per_call"),
    "sleep for ever": ("sleep-forever", (), "call_timeout"),
    "sleep in slices": ("sleep-in-slices", (), "call_timeout"),
    "allocation bomb": ("memory-bomb", (), "memory"),
    "handle bomb": ("handle-bomb", (10_000,), "open_handles"),
    "bytes to the host": ("flood", (1, 1 << 20), "host_call_bytes"),
    "bytes in a result": ("produce", (1 << 20,), "host_call_bytes"),
    "table bomb": ("bomb", (), "table_elements"),
}


class Neighbour:
    """Calls a deployment again and again on a thread of its own."""

    def __init__(self, deployment) -> None:
        self.answers = 0
        self._deployment = deployment
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._call)

    def _call(self) -> None:
        while not self._enough.is_set():
            assert self._deployment.call("add", 2, 3) == 5
            self.answers += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("lifetime", ["call", "pooled"])
def test_an_attack_on_resources_ends_itself_alone(
    state, guest, provides, notices, attack, lifetime
):
    function, arguments, limit = ATTACKS[attack]
    source = TABLES if function == "bomb" else guest("faults")
    with Host.open_blocking(state, provides=provides) as host:
        host.on_limit(notices)
        calm = host.deploy(guest("calculator"), name="good/calc", lifetime=lifetime)
        # Long enough on a busy machine, but where the attack is to wait.
        timeout = 0.5 if limit == "call_timeout" else 30.0
        bounds = dataclasses.replace(BOUNDS, call_timeout=timeout)
        evil = host.deploy(source, name="evil/guest", lifetime=lifetime, limits=bounds)
        with Neighbour(calm) as neighbour:
            for _ in range(2):
                with pytest.raises(LimitExceeded) as failure:
                    evil.call(function, *arguments)
                assert (failure.value.limit, failure.value.call) == (limit, function)
                assert evil.call("count") == 1  # the next call has an instance of its own
        assert evil.usage().refused == {limit: 2}
        assert evil.statistics().revisions[0].limits == 2
        assert notices.next("reached", limit).by == "deployment evil/guest"
        found = calm.statistics()
        assert (found.failures, found.calls) == (0, neighbour.answers)
        assert host.usage("good").refused == {}
        if lifetime == "call":
            assert host.usage().memory == 0  # everything was given back


def test_endless_recursion_ends_itself_alone(state, guest, provides):
    with Host.open_blocking(state, provides=provides) as host:
        calm = host.deploy(guest("calculator"), name="good/calc")
        evil = host.deploy(guest("faults"), name="evil/guest")
        # A compiled guest reaches the end of its own stack, in its memory, before the host's.
        with pytest.raises((Trap, LimitExceeded)):
            evil.call("recurse", 2**32 - 1)
        assert evil.call("count") == 1
        assert calm.call("add", 2, 3) == 5


async def test_a_mailbox_flood_stays_with_its_sender(state, guest):
    small = {
        "lifetime": "actor",
        "actor": ActorSettings(codec="json", mailbox=10, on_overflow="wait"),
        "capabilities": {"messaging": [{"send": "good/*"}]},
        "grant": "requested",
    }
    async with Host.open(state) as host:
        taker = await host.deploy(guest("actor-puppet"), name="good/taker", **small)
        flood = await host.deploy(guest("actor-puppet"), name="evil/flood", **small)
        ref = taker.actor()
        await ref.ask({"tag": "before"})
        host.system.suspend(ref)
        (flooded,) = await flood.actor().ask(
            {"do": [["flood", "good/taker", 10_000, {"tag": "flood"}]]}
        )
        assert flooded == {"ok": 10, "refused": {"mailbox-full": 9_990}}
        host.system.resume(ref)
        tags = (await ref.ask({"do": [["tags"]]}))[0]
        assert tags == ["before", *["flood"] * 10]  # what was accepted was handled
        books = host.system.inspect(ref).books
        assert (books.dead, books.queued) == (0, 0)


async def test_an_audit_flood_is_counted_and_not_written(state, guest):
    attempts, pace = 20_000, 100
    async with Host.open(state) as host:
        flood = await host.deploy(
            guest("actor-puppet"),
            name="evil/flood",
            lifetime="actor",
            actor=ActorSettings(codec="json"),
            limits=Limits(audit_records_per_second=pace),
        )
        (flooded,) = await flood.actor().ask({"do": [["flood", "good/nobody", attempts, {}]]})
        assert flooded == {"ok": 0, "refused": {"not-permitted": attempts}}
        host.osl.audit.flush()
        records = [
            record
            for record in read_records(host.directory / "audit", principal="evil/flood")
            if record.operation == "messaging.send"
        ]
    assert sum(record.count or 1 for record in records) == attempts
    assert len(records) < attempts // 10


@pytest.mark.parametrize("limit", ["storage", "storage_keys", "storage_value"])
def test_a_storage_flood_meets_the_quota_of_its_deployment(state, guest, notices, limit):
    size = {"storage": 100, "storage_keys": 10, "storage_value": 4000}[limit]
    own = {"namespace": "self", "access": ["read", "write"]}
    granted = {"capabilities": {"storage": [own]}, "grant": "requested"}
    bounds = Limits(storage="30KiB", storage_keys=330, storage_value="2KiB")
    with Host.open_blocking(state) as host:
        host.on_limit(notices)
        store = host.deploy(
            guest("key-value"), name="evil/store", lifetime="pooled", limits=bounds, **granted
        )
        calm = host.deploy(guest("key-value"), name="good/store", **granted)
        counter = itertools.count()
        with pytest.raises(GuestError, match=f"exceeded: {limit} "):
            all(store.api.set(f"key-{number:03}", bytes(size), None) for number in counter)
        stored = next(counter) - 1
        assert store.usage().storage_bytes == stored * (size + 7)
        assert store.usage().refused == {limit: 1}
        if limit != "storage_value":  # which is near at no time
            near = notices.next("near", limit)
            assert near.owner == "deployment evil/store"
        assert notices.next("reached", limit).by == "deployment evil/store"
        calm.api.set("key", bytes(4000), None)
        assert calm.usage().storage_bytes == 4003
        assert host.usage().storage_bytes == 4003 + store.usage().storage_bytes


@pytest.fixture
def server():
    """The address of a server that answers a line with it."""

    class Echo(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(b"echo " + line)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def test_a_guest_gets_as_many_connections_as_it_may_and_gives_them_back(guest, server):
    client = Engine().load(guest("net-client"))

    def run(*commands: str, connections: int) -> list[str]:
        wasi = Wasi(arguments=["net-client", *commands], connect=[server], stdout="capture")
        found = client.run(wasi=wasi, limits=Limits(connections=connections))
        return found.stdout.decode().splitlines()

    flood = f"tcp-many|{server}|100"
    first, second, third = run(flood, f"tcp|{server}|x", flood, connections=4)
    assert first.startswith("ok:4 ")
    assert second == "ok:echo x"
    assert third == first
    assert run(f"tcp-many|{server}|20", connections=20) == ["ok:20"]
    assert run(f"tcp|{server}|x", connections=0)[0].startswith("err:")


def test_requests_under_way_are_connections_too(guest):
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    client = Engine().load(guest("http-client"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        place = f"127.0.0.1:{listening.server_address[1]}"

        def run(connections: int) -> list[str]:
            request = f"GET|http|{place}|/"
            wasi = Wasi(arguments=["http-client", *[request] * 5], http=[place], stdout="capture")
            found = client.run(wasi=wasi, limits=Limits(connections=connections))
            return found.stdout.decode().splitlines()

        try:
            assert run(1) == ["ok:200 hello"] * 5  # each gives its place back
            assert run(0) == ["err:ConnectionLimitReached"] * 5
        finally:
            listening.shutdown()
            thread.join()
