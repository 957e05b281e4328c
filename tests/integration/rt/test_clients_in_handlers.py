"""HTTP clients inside handlers, against a server in this process, on a real loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airssys.rt import Actor, Ask, RequestDropped, handles

if TYPE_CHECKING:
    from airssys.testing import TestSystem


@dataclass(frozen=True, slots=True)
class Fetch(Ask["Fetcher", str]):
    url: str


class Fetcher(Actor):
    @handles
    async def fetch(self, message: Fetch) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(message.url, timeout=30)
            return response.text


class Server:
    """Answers `/`; never answers `/hang`."""

    def __init__(self) -> None:
        self.hanging = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"GET /hang"):
            self.hanging.set()
            await reader.read()  # until the client hangs up
            self.hung_up.set()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()
        writer.close()


@pytest.mark.real_loop
async def test_httpx_in_a_handler_and_a_kill_in_mid_request(system: TestSystem) -> None:
    handler = Server()
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    fetcher = await system.spawn(Fetcher)
    assert [await fetcher.ask(Fetch(host + "/")) for _ in range(3)] == ["hello"] * 3

    hanging: asyncio.Future[Any] = asyncio.ensure_future(fetcher.ask(Fetch(host + "/hang"), 60))
    await handler.hanging.wait()
    assert (await fetcher.kill()).kind == "killed"
    with pytest.raises(RequestDropped):
        await hanging
    await handler.hung_up.wait()  # the connection was closed, not leaked
    assert system.dead_letters.reasons() == ["killed"]
    server.close()
    await server.wait_closed()


@pytest.mark.real_loop
async def test_a_subprocess_in_a_handler(system: TestSystem) -> None:
    class Shell(Actor):
        @handles
        async def run(self, message: Fetch) -> str:
            process = await asyncio.create_subprocess_exec(
                "echo", message.url, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await process.communicate()
            return out.decode().strip()

    shell = await system.spawn(Shell)
    assert await shell.ask(Fetch("hello")) == "hello"  # type: ignore[arg-type]


def cube(number: int) -> int:
    return number**3


def forever(_: int) -> None:
    while True:
        pass


@dataclass(frozen=True, slots=True)
class Compute(Ask["Computer", int]):
    number: int
    function: Any = cube


class Computer(Actor):
    @handles
    async def compute(self, message: Compute) -> int:
        result: int = await self.system.offload.process(message.function, message.number)
        return result


@pytest.mark.real_loop
async def test_work_in_a_process_can_be_killed(system: TestSystem) -> None:
    computer = await system.spawn(Computer)
    assert await computer.ask(Compute(3), 30) == 27
    hanging = asyncio.ensure_future(computer.ask(Compute(3, forever), 60))
    while not system.inspect(computer).books.in_flight:
        await asyncio.sleep(0)
    await computer.kill()
    with pytest.raises(RequestDropped):
        await hanging
    assert system.offload.killed == 1
    assert system.dead_letters.reasons() == ["killed"]
