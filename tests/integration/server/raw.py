"""A client that does what no good client does."""

from __future__ import annotations

import json
import socket


def connect(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(60)
    connected.connect(path)
    return connected


def ask(
    where: str | tuple[str, int],
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request; return the status code, the headers and the body of the answer."""
    given = {"host": "localhost", "connection": "close", "content-length": str(len(body))}
    given |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    if isinstance(where, tuple):
        opened = socket.create_connection(where, timeout=60)
    else:
        opened = connect(where)
    with opened:
        opened.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        return read(opened)


def read(connected: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read what comes until the end."""
    found = b""
    try:
        while chunk := connected.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    names = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
    return int(first.split()[1]) if first else 0, names, body


def problem(answer: tuple[int, dict[str, str], bytes]) -> dict:
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json", answer
    document = json.loads(body)
    assert document["status"] == status
    return document
