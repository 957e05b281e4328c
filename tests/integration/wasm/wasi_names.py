"""Try what names lead to, in a process whose hosts file is its own: `wasi_names.py FOLDER`.

Prints a JSON list of pairs: what was tried, and what came of it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

from airssys.osl._native import AuditLog, AuditReader, Gate, Subject
from airssys.wasm import Engine, GuestError, Wasi

BUILT = Path(__file__).parents[3] / "build" / "components"
INSIDE = {
    "loopback.example": "127.0.0.1",
    "six.example": "::1",
    "link.example": "169.254.10.1",
    "metadata.example": "169.254.169.254",
    "private.example": "10.0.0.1",
    "mapped.example": "::ffff:127.0.0.1",
    "nat.example": "64:ff9b::7f00:1",
    "zero.example": "0.0.0.0",
}
ROUTABLE = "93.184.216.34"


def main(folder: Path) -> None:
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in INSIDE.items()))
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    reached: list[str] = []

    def accept() -> None:
        while True:
            connection, peer = server.accept()
            reached.append(str(peer))
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    log = AuditLog(folder / "audit")
    gate = Gate(log)
    given = {"effect": "allow", "principals": ["name:guest"]}
    rules = [
        given
        | {
            "id": "http",
            "kind": "http",
            "targets": [f"http://*.example:{port}/**"],
            "access": ["GET"],
        },
        given
        | {
            "id": "tcp",
            "kind": "network",
            "targets": [f"*.example:{port}"],
            "access": ["connect", "resolve"],
        },
    ]
    gate.load(json.dumps({"schema": 1, "rules": rules}).encode())
    wasi = {"rules": (gate, Subject("guest", guest=True))}
    engine = Engine()
    client = engine.load(BUILT / "http-client.wasm")
    reader = engine.load(BUILT / "file-reader.wasm")
    outcomes: list[tuple[str, object]] = []

    def attempt(instance: object, function: str, argument: str) -> None:
        try:
            outcomes.append((f"{function} {argument}", instance[function](argument)))  # type: ignore[index]
        except GuestError as error:
            outcomes.append((f"{function} {argument}", error.value))

    for name in INSIDE:
        asked = Wasi(arguments=["c", f"GET|http|{name}:{port}|/"], stdout="capture", **wasi)
        client.run(wasi=asked)
        outcomes.append((f"http {name}", asked.stdout.decode().strip()))
        attempt(reader.instantiate(wasi=Wasi(**wasi)), "open-connection", f"{name}:{port}")
    # Rebinding: the name means another address by the time that the guest connects.
    hosts.write_text(f"{ROUTABLE} moves.example\n")
    instance = reader.instantiate(wasi=Wasi(**wasi))
    attempt(instance, "look-up", "moves.example")
    hosts.write_text("127.0.0.1 moves.example\n")
    attempt(instance, "open-connection", f"127.0.0.1:{port}")
    attempt(instance, "open-connection", f"moves.example:{port}")
    log.flush()
    records = [json.loads(line) for line in AuditReader(folder / "audit", principal="guest").read()]
    denied = [
        (record["op"], record["target"], record["rule"])
        for record in records
        if record["decision"] == "deny"
    ]
    print(json.dumps({"port": port, "outcomes": outcomes, "reached": reached, "denied": denied}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
