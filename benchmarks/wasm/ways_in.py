"""Race the gate for what guests may reach, for thousands of rounds.

Usage: `python -m benchmarks.wasm.ways_in [--rounds 5000] [--seed 1]`.

Rebinding: a name moves between an address that its rule lists and one that it does not, while a
guest resolves it, connects and sends requests. Revocation: the right to a secret comes and goes
while a guest sends requests with it. It fails when anything reaches an address that was not
listed, when a secret arrives that no record allows, or when attempts and records do not add up.
Prints its counts as JSON. The name moves in a hosts file of its own, for which it needs a mount
namespace.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.osl._native import AuditLog, AuditReader, Gate, Subject
from airssys.wasm import Engine, Limits, Wasi
from benchmarks.wasm.guests import guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHO = "acme/racer"
NAME = "moves.example"
LISTED, FORBIDDEN = "127.0.0.2", "127.0.0.1"
SECRET = "correct horse battery staple"
NAMESPACE = ["unshare", "--map-root-user", "--mount"]
BATCH = 50  # attempts of one instance
LIMITS = Limits(call_timeout=120.0, cpu_per_call=100.0)


class Server:
    """Answers every HTTP request, and every line; remembers what arrived, by its own address."""

    def __init__(self, address: str, port: int = 0) -> None:
        """Listen on `address`."""
        self.seen: list[str] = []
        self._socket = socket.create_server((address, port), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with closing(connection):
                self.seen.append(self._serve(connection))

    @staticmethod
    def _serve(connection: socket.socket) -> str:
        connection.settimeout(60)
        sent = b""
        while not sent.endswith(b"\n") or (b"HTTP/1.1" in sent and b"\r\n\r\n" not in sent):
            piece = connection.recv(4096)
            if not piece:
                return sent.decode()
            sent += piece
        if b"HTTP/1.1" in sent:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        else:
            connection.sendall(b"ok\n")
        return sent.decode()

    def close(self) -> None:
        """Listen no longer."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Record:
    """A gate, and what it put on record of the guest."""

    def __init__(self, folder: Path) -> None:
        """Log into `folder`."""
        self._folder = folder
        self.log = AuditLog(folder)
        self.gate = Gate(self.log)

    def load(self, *rules: dict[str, object]) -> None:
        """Replace the rules."""
        given = {"effect": "allow", "principals": [f"name:{WHO}"]}
        document = {"schema": 1, "rules": [given | rule for rule in rules]}
        self.gate.load(json.dumps(document).encode())

    def decisions(self, operation: str) -> Counter[str]:
        """How often the operation was decided, by decision; equal refusals are counted."""
        self.log.flush()
        counts: Counter[str] = Counter()
        seen: dict[int, str] = {}
        for line in AuditReader(self._folder, principal=WHO).read(1 << 30):
            record = json.loads(line)
            if "repeats" in record:
                if record["repeats"] in seen:
                    counts[seen[record["repeats"]]] += record["count"]
            elif record["op"] == operation:
                seen[record["seq"]] = record["decision"]
                counts[record["decision"]] += 1
        return counts


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Do something over and over on another thread."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def attempts(name: str, wasi: dict[str, object], commands: list[str]) -> Counter[str]:
    """Let fresh instances of a guest carry out commands; what came of them, by its first word."""
    component = Engine().load(guest(name))
    outcomes: Counter[str] = Counter()
    for start in range(0, len(commands), BATCH):
        given = Wasi(
            arguments=["guest", *commands[start : start + BATCH]],
            stdout="capture",
            **wasi,  # type: ignore[arg-type]
        )
        component.run(wasi=given, limits=LIMITS)
        lines = given.stdout.decode().splitlines()
        outcomes.update(line.split(":")[0] + ":" + line.split(":")[1][:20] for line in lines)
    return outcomes


def rebinding(folder: Path, rounds: int, seed: int) -> dict[str, object]:
    """Move a name while a guest connects to it, by sockets and by HTTP."""
    hosts = folder / "hosts"
    # Of one length, so that whoever reads in between sees one of both.
    lines = [f"{address:15} {NAME}\n".encode() for address in (LISTED, FORBIDDEN)]
    hosts.write_bytes(lines[0])
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    listed = Server(LISTED)
    forbidden = Server(FORBIDDEN, listed.port)
    place = f"{NAME}:{listed.port}"
    record = Record(folder / "rebinding")
    addresses = [f"{LISTED}/32"]
    record.load(
        {
            "id": "tcp",
            "kind": "network",
            "targets": [place],
            "access": ["connect", "resolve"],
            "addresses": addresses,
        },
        {
            "id": "http",
            "kind": "http",
            "targets": [f"http://{place}/**"],
            "access": ["GET"],
            "addresses": addresses,
        },
    )
    wasi: dict[str, object] = {"rules": (record.gate, Subject(WHO, guest=True))}
    chance = random.Random(seed)
    descriptor = os.open(hosts, os.O_WRONLY)

    def move() -> None:
        for _ in range(chance.randrange(1, 8)):
            os.pwrite(descriptor, lines[chance.randrange(2)], 0)

    with meanwhile(move):
        sockets = attempts("net-client", wasi, [f"tcp|{place}|knock"] * rounds)
        requests = attempts("http-client", wasi, [f"GET|http|{place}|/"] * rounds)
    os.close(descriptor)
    decided = record.decisions("network.connect")
    record.log.close()
    listed.close()
    forbidden.close()
    arrived = len(listed.seen)
    assert forbidden.seen == [], f"{len(forbidden.seen)} reached what the rule does not list"
    assert sockets["ok:ok"] + requests["ok:200 ok"] == arrived, (sockets, requests, arrived)
    # HTTP asks about the address alone where it is refused; a socket each time.
    refused = sockets["err:PermissionDenied"] + requests["err:HttpRequestDenied"]
    assert decided["deny"] == refused, (decided, sockets, requests)
    assert decided["allow"] == sockets["ok:ok"], (decided, sockets)
    assert arrived > 0 < refused, "the name has not moved"
    return {"sockets": dict(sockets), "requests": dict(requests)}


def revocation(folder: Path, rounds: int) -> dict[str, object]:
    """Take the right to a secret away and give it again while a guest uses it."""
    server = Server(FORBIDDEN)
    place = f"http://{FORBIDDEN}:{server.port}"
    record = Record(folder / "revocation")
    basic: list[dict[str, object]] = [
        {"id": "http", "kind": "http", "targets": [f"{place}/**"], "access": ["GET"]},
        {"id": "variable", "kind": "environment", "targets": ["KEY"], "access": ["read"]},
    ]
    use = {"id": "key", "kind": "secret", "targets": [f"key@{place}/x-key"], "access": ["use"]}
    record.load(*basic, use)
    wasi: dict[str, object] = {
        "rules": (record.gate, Subject(WHO, guest=True)),
        "environment": {"KEY": "${secret:key}"},
        "secrets": {"key": SECRET},
    }

    def change() -> None:
        record.load(*basic)
        record.load(*basic, use)

    request = f"GET|http|{FORBIDDEN}:{server.port}|/|x-key: {{env:KEY}}"
    with meanwhile(change):
        outcomes = attempts("http-client", wasi, [request] * rounds)
    decided = record.decisions("secret.use")
    # Without the right from now on.
    record.load(*basic)
    arrived = len(server.seen)
    after = attempts("http-client", wasi, [request] * BATCH)
    record.log.close()
    server.close()
    with_secret = sum(f"x-key: {SECRET}\r\n" in sent for sent in server.seen)
    # A connection that is given up before anything was sent over it arrives as nothing.
    assert all(SECRET in sent for sent in server.seen if sent)
    assert with_secret <= decided["allow"], (with_secret, decided)
    assert outcomes["ok:200 ok"] <= with_secret, (outcomes, with_secret)
    # Allowed and then ended for a right that went meanwhile: both are on record.
    assert decided["deny"] >= outcomes["err:HttpRequestDenied"], (outcomes, decided)
    assert sum(outcomes.values()) == rounds <= sum(decided.values()), (outcomes, decided)
    assert after == {"err:HttpRequestDenied": BATCH}, after
    assert not any(server.seen[arrived:]), "a secret arrived after its right was gone"
    return {"requests": dict(outcomes), "decided": dict(decided), "arrived": with_secret}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="race the gate for what guests may reach")
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        command = [*NAMESPACE, sys.executable, "-m", "benchmarks.wasm.ways_in", "--inside"]
        options = ["--rounds", str(arguments.rounds), "--seed", str(arguments.seed)]
        raise SystemExit(subprocess.run([*command, *options], check=False).returncode)
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        result = {
            "rebinding": rebinding(folder, arguments.rounds, arguments.seed),
            "revocation": revocation(folder, arguments.rounds),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
