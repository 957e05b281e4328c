"""A counter that survives its own crashes, and the end of its host.

    make guests
    python examples/stateful_counter.py

The counter is a component with state. It divides by zero when told to, which traps and ends its
instance; its supervisor starts another, which continues from the last snapshot, and the messages
that waited are handled. At the end of the host a last snapshot is taken, from which the next host
goes on.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings

COMPONENTS = Path(__file__).resolve().parent.parent / "build" / "components"


async def main(state: Path) -> None:
    """Count, crash and go on; close the host and go on."""
    async with Host.open(state) as host:
        counter = await host.deploy(
            COMPONENTS / "counter-rust.wasm",
            name="demo/counter",
            lifetime="actor",
            actor=ActorSettings(codec="json", config={"start": 40}, snapshot_every=0.05),
        )
        ref = counter.actor()
        print("one more:", await ref.ask({"add": 1}, timeout=5))
        print("and one:", await ref.ask({"add": 1}, timeout=5))
        # Until the schedule has taken the next snapshot.
        kept = (42).to_bytes(8, "little")
        while host.system.inspect(ref).snapshot != kept:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
        crash = ref.ask({"divide": 0}, timeout=5)
        waiting = ref.ask({"add": 1}, timeout=5)
        results = await asyncio.gather(crash, waiting, return_exceptions=True)
        print("dividing by zero:", type(results[0]).__name__)
        print("what waited behind it:", results[1])
    async with Host.open(state) as host:
        ref = host.deployment("demo/counter").actor()
        print("with the next host:", await ref.ask("get", timeout=5))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))
