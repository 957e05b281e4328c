"""One conversation in three languages: components in Rust, Python and JavaScript.

    make guests
    python examples/three_languages.py

First a pipeline: a Rust component reads lines, a JavaScript component cleans each record, a Python
component keeps it. Then a question goes along the chain: Rust asks JavaScript, which asks Python.
Each may reach only those that it needs.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings, ComponentRef

COMPONENTS = Path(__file__).resolve().parent.parent / "build" / "components"
LINES = """\
  ada   LOVELACE ;12,5
grace hopper;1
nobody
alan turing;a lot
"""


async def main() -> None:
    """Deploy the four components, run the pipeline, ask the question."""
    with tempfile.TemporaryDirectory() as state:
        async with Host.open(state) as host:

            async def actor(guest: str, *ask: str, **config: str) -> ComponentRef[Any]:
                name = "demo/" + guest.partition("-")[0]
                deployed = await host.deploy(
                    COMPONENTS / f"{guest}.wasm",
                    name=name,
                    lifetime="actor",
                    actor=ActorSettings(codec="json", config=config),
                    capabilities={"messaging": [{"ask": each} for each in ask]},
                    grant="requested",
                )
                return await deployed.start()

            await actor("keeper-python")
            await actor("transformer-js", "demo/keeper", next="demo/keeper")
            others = {"cleaner": "demo/transformer", "store": "demo/keeper"}
            etl = await actor("etl-rust", *others.values(), **others)
            asker = await actor("asker-rust", "demo/transformer", target="demo/transformer")

            report = await etl.ask({"lines": LINES}, timeout=30)
            print("stored", report["stored"])
            for refused in report["refused"]:
                print("refused", refused)
            answer = await asker.ask({"get": "Ada Lovelace"}, timeout=30)
            print(answer["value"], "by way of", ", ".join(answer["path"]))


if __name__ == "__main__":
    asyncio.run(main())
