"""A chat room of component actors: one room, a member for each name, all WebAssembly.

    make guests
    python examples/chat_room.py

The room is one actor of the deployment `demo/chat-room`; each member is an actor of
`demo/chat-member`, whose name is its key. What members say goes from component to component without
entering Python. Who speaks is said by the host, so nobody can speak as another.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings, GuestRefused

COMPONENTS = Path(__file__).resolve().parent.parent / "build" / "components"
ROOM = "demo/chat-room#lobby"


async def main() -> None:
    """Let three people meet."""
    with tempfile.TemporaryDirectory() as state:
        async with Host.open(state) as host:
            await host.deploy(
                COMPONENTS / "chat-room.wasm",
                name="demo/chat-room",
                lifetime="actor",
                actor=ActorSettings(codec="json"),
                capabilities={"messaging": [{"send": "demo/chat-member"}]},
                grant="requested",
            )
            members = await host.deploy(
                COMPONENTS / "chat-member.wasm",
                name="demo/chat-member",
                lifetime="actor",
                actor=ActorSettings(codec="json"),
                capabilities={"messaging": [{"ask": "demo/chat-room"}]},
                grant="requested",
            )
            await host.deployment("demo/chat-room").start("lobby")
            ada, bob, eve = [await members.start(name) for name in ("Ada", "Bob", "Eve")]
            for member in (ada, bob):
                others = await member.ask({"join": ROOM}, timeout=5)
                print(f"{member.key} joins and meets {others}")
            for member, text in ((ada, "Hello, Bob."), (bob, "Hello, Ada.")):
                reached = await member.ask({"say": text}, timeout=5)
                print(f"{member.key} says {text!r} to {reached}")
            try:
                await eve.ask({"say": "Me too!"}, timeout=5)
            except GuestRefused as refused:
                print(f"Eve is refused: {refused}")
            for member in (ada, bob):
                for line in await member.ask({"heard": None}, timeout=5):
                    print(f"{member.key} heard {line['by']}: {line['text']}")


if __name__ == "__main__":
    asyncio.run(main())
