"""Load: as much as there can be (by wrk), and so many requests a second."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from typing import Final

from benchmarks.row import UnavailableError

_CONNECTIONS: Final = 32
_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def throughput(address: str, seconds: float) -> float:
    """Return how many requests a second are answered when each connection asks at once again."""
    program = shutil.which("wrk")
    if program is None:
        raise UnavailableError("wrk is not installed; apt-get install wrk")
    duration = f"{max(1, round(seconds))}s"
    command = [program, "-t1", f"-c{_CONNECTIONS}", f"-d{duration}", f"http://{address}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"requests to {address} failed:\n{done.stdout}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def latencies(address: str, rate: float, seconds: float) -> list[float]:
    """Return how long each request took from when it was due, at `rate` requests a second.

    A request that could not be sent when it was due waits, and the wait counts: an answer that is
    late does not make those after it look early.
    """
    return asyncio.run(_at_rate(address, rate, seconds))


async def _at_rate(address: str, rate: float, seconds: float) -> list[float]:
    host, _, port = address.rpartition(":")
    due: asyncio.Queue[float | None] = asyncio.Queue()
    taken: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            while (moment := await due.get()) is not None:
                writer.write(_REQUEST)
                await _answer(reader)
                taken.append(time.perf_counter() - moment)
        finally:
            writer.close()

    clients = [asyncio.create_task(client()) for _ in range(_CONNECTIONS)]
    begun = time.perf_counter()
    for number in range(round(rate * seconds)):
        moment = begun + number / rate
        wait = moment - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        due.put_nowait(moment)
    for _ in clients:
        due.put_nowait(None)
    await asyncio.gather(*clients)
    return taken


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a request failed: {head!r}")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length:
        await reader.readexactly(int(length[1]))
        return
    while await reader.readuntil(b"\r\n") != b"0\r\n":
        await reader.readuntil(b"\r\n")
    await reader.readuntil(b"\r\n")
