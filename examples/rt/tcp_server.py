"""A TCP server under supervision: a connection may fail, and so may the listener.

    python examples/rt/tcp_server.py

Each connection is an actor below the server. A client sends `crash` and loses only its own
connection; then the server itself fails and comes back, on the same port, by its supervisor.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.rt import Actor, Ask, Backoff, Child, Supervisor, System, Tell, handles

if TYPE_CHECKING:
    from airssys.rt import Reason


@dataclass(frozen=True, slots=True)
class Line(Tell["Connection"]):
    """A line that a client sent."""

    text: str


@dataclass(frozen=True, slots=True)
class Accepted(Tell["Server"]):
    """A client has connected."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(frozen=True, slots=True)
class Port(Ask["Server", int]):
    """Which port the server listens on."""


class Connection(Actor):
    """Answers one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def started(self) -> None:
        """Read in a task that ends with this actor."""
        self.background(self.read())

    async def read(self) -> None:
        """Turn lines into messages; waiting for room here slows the client down."""
        while line := await self.reader.readline():
            await self.ref.send(Line(line.decode().strip()), timeout=60)
        self.stop()

    @handles
    async def answer(self, message: Line) -> None:
        """Shout back."""
        if message.text == "crash":
            raise RuntimeError("the client asked for it")
        self.writer.write(f"{message.text.upper()}\n".encode())
        await self.writer.drain()

    async def stopped(self, reason: Reason) -> None:  # noqa: ARG002 - the same for every end
        """Hang up."""
        self.writer.close()


class Server(Actor):
    """Listens, and owns the connections."""

    def __init__(self, port: int = 0) -> None:
        self.port = port

    def carry(self) -> int:
        """Keep the port over a restart."""
        return self.port

    def restore(self, carried: int) -> None:
        """Take the port that the last incarnation had."""
        self.port = carried

    async def started(self) -> None:
        """Open the socket."""
        self.listener = await asyncio.start_server(
            lambda reader, writer: self.ref.tell(Accepted(reader, writer)), "127.0.0.1", self.port
        )
        self.port = self.listener.sockets[0].getsockname()[1]

    @handles
    async def accept(self, message: Accepted) -> None:
        """Give the client an actor of its own, which is not restarted."""
        await self.spawn(Connection, message.reader, message.writer)

    @handles
    def tell_port(self, _message: Port) -> int:
        """Say the port."""
        return self.port

    async def stopped(self, reason: Reason) -> None:  # noqa: ARG002 - the same for every end
        """Close the socket, so that the next incarnation can have the port."""
        self.listener.close()


async def talk(port: int, *lines: str) -> list[str]:
    """Send lines and return what came back; an empty answer is a connection lost."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for line in lines:
        writer.write(f"{line}\n".encode())
        answers.append((await reader.readline()).decode().strip())
    writer.close()
    await writer.wait_closed()
    return answers


async def main() -> None:
    """Start the tree, break it twice, and find it working."""
    tree = Supervisor("net", children=[Child("server", Server, backoff=Backoff(0.01, 0.1))])
    async with System("tcp") as system:
        server = (await system.start(tree)).child("server", Server)
        port = await server.ask(Port())
        crashed, fine = await asyncio.gather(talk(port, "hi", "crash"), talk(port, "one", "two"))
        print("crashed connection:", crashed, " its neighbour:", fine)
        system.fail(server, OSError("the listener broke"))
        assert await server.ask(Port()) == port  # waits in the mailbox until the restart
        print("after a restart of the server:", await talk(port, "still there?"))
        print("restarts of", server.path, "=", system.inspect(server).restarts)
        assert (crashed, fine) == (["HI", ""], ["ONE", "TWO"])


if __name__ == "__main__":
    asyncio.run(main())
