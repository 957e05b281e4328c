"""HTTP/2 by prior knowledge, in frames written by hand."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from airssys.wasm import HttpLimits

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def request(stream: int, path: str = "/") -> bytes:
    # By the static table of RFC 7541: GET, http, and literals for the rest.
    fields = b"\x82\x86\x04%c%s\x41\x01a" % (len(path), path.encode())
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, fields)


def frames(connection):
    """Read frames until the other side ends."""
    while len(head := connection._file.read(9)) == 9:
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        yield Frame(kind, flags, stream, connection._file.read(length))


def answers(connection, count: int) -> dict[int, tuple[bytes, bytes]]:
    """Read whole answers: by stream, what the first field says, and the body."""
    fields: dict[int, bytes] = {}
    bodies: dict[int, bytes] = {}
    over: set[int] = set()
    for each in frames(connection):
        if each.kind == HEADERS:
            fields[each.stream] = each.payload
        elif each.kind == DATA:
            bodies[each.stream] = bodies.get(each.stream, b"") + each.payload
        elif each.kind == PING and not each.flags & ACK:
            connection.send(frame(PING, ACK, 0, each.payload))
        if each.kind in (DATA, HEADERS) and each.flags & END_STREAM:
            over.add(each.stream)
            if len(over) == count:
                break
    return {stream: (fields[stream][:1], bodies.get(stream, b"")) for stream in over}


def test_streams_of_one_connection_are_answered_beside_each_other(serve, raw, settled):
    ingress, site = serve()
    connection = raw(ingress.address)
    connection.send(PREFACE + frame(SETTINGS, 0, 0))
    connection.send(request(1, "/slow/50") + request(3) + request(5, "/status/404"))
    answered = answers(connection, 3)
    assert answered[1] == (b"\x88", b"faults\n")  # 200 stands in the static table
    assert answered[3] == (b"\x88", b"faults\n")
    assert answered[5] == (b"\x8d", b"as told\n")  # and 404
    assert settled(site).statistics().calls == 3


def test_a_failure_in_the_middle_resets_its_stream_alone(serve, raw):
    ingress, _ = serve()
    connection = raw(ingress.address)
    connection.send(PREFACE + frame(SETTINGS, 0, 0) + request(1, "/cut") + request(3))
    reset = data = False
    for each in frames(connection):
        reset = reset or (each.kind, each.stream) == (RESET, 1)
        data = data or (each.kind, each.stream) == (DATA, 3)
        if reset and data:
            break
    assert reset
    assert data


def test_a_reset_stream_ends_its_call(serve, raw, until, settled):
    ingress, site = serve(call_timeout=600.0)
    connection = raw(ingress.address)
    connection.send(PREFACE + frame(SETTINGS, 0, 0) + request(1, "/sleep"))
    line = site._serving._line
    until(lambda: line.in_flight == 1)
    connection.send(frame(RESET, 0, 1, struct.pack(">I", 8)))
    until(lambda: line.in_flight == 0)
    assert settled(site)._serving._statistics[1].snapshot()["cancelled"] == 1
    connection.send(request(3))
    assert answers(connection, 1)[3] == (b"\x88", b"faults\n")


def test_a_graceful_end_is_told(serve, raw):
    ingress, _ = serve()
    connection = raw(ingress.address)
    connection.send(PREFACE + frame(SETTINGS, 0, 0) + request(1))
    assert answers(connection, 1)[1] == (b"\x88", b"faults\n")
    with ThreadPoolExecutor() as threads:
        closing = threads.submit(ingress.close)
        assert any(each.kind == GOAWAY for each in frames(connection))
        connection.close()  # else the ingress gives it the time that it gives every client
        closing.result()


def test_garbage_in_frames_ends_the_connection(serve, raw, client, until):
    ingress, _ = serve(limits=HttpLimits(silence=0.5))
    connection = raw(ingress.address)
    connection.send(PREFACE + frame(SETTINGS, 0, 0) + frame(DATA, 0, 1, b"on no stream"))
    assert GOAWAY in {each.kind for each in frames(connection)}
    until(lambda: ingress.statistics().connections_failed == 1)
    assert client(ingress.address).get("/") == (200, b"faults\n")
