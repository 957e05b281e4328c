"""Ten million messages among a thousand component actors that trap and are killed at random.

`python -m benchmarks.actors.soak [--messages N] [--actors N] [--seed S]`. Nothing may be lost: at
the end the books of every mailbox add up, and what was accepted is what was sent. The test suite
runs a little of it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from airssys._core import MessageRights
from airssys.errors import AirsSysError
from airssys.rt import (
    ActorRestarted,
    Bounded,
    MailboxFull,
    Supervisor,
    System,
)
from airssys.testing.conservation import assert_conserved
from airssys.wasm import Engine, Limits
from airssys.wasm.actors import ActorSettings, ComponentChild
from airssys.wasm.actors.exchange import Exchange
from airssys.wasm.actors.make import Make
from airssys.wasm.actors.site import Site

if TYPE_CHECKING:
    from airssys.wasm import Component
    from airssys.wasm.actors import ComponentRef

PUPPET = Path(__file__).parents[2] / "build" / "components" / "actor-puppet.wasm"
FLOOD = 50  # messages that an actor sends on for each that Python asks it to
ROUND = 200  # asks that are in flight at once


@dataclass
class Outcome:
    """What the soak came to."""

    accepted: int = 0
    handled: int = 0
    refused: int = 0
    traps: int = 0
    kills: int = 0
    restarts: int = 0
    seconds: float = 0.0
    dead: Counter[str] = field(default_factory=Counter)


async def soak(
    system: System, puppet: Component, *, messages: int, actors: int, seed: int
) -> Outcome:
    """Send about `messages` messages among `actors` component actors, and check the books.

    Raises:
        AssertionError: A message was lost, or handled twice.
    """
    random = Random(seed)
    exchange = Exchange(system)
    outcome = Outcome()
    counting = system.events.subscribe(lambda _: count_restart(outcome), ActorRestarted)
    refs = await start(system, exchange, puppet, actors)
    began = time.perf_counter()
    sent = 0  # what the mailboxes said they took
    while sent < messages:
        asks = [ask_to_flood(refs, random, outcome) for _ in range(ROUND)]
        sent += sum(await asyncio.gather(*asks))
    await quiet(refs)
    outcome.seconds = time.perf_counter() - began
    assert_conserved(system)
    for ref in refs:
        books = system.inspect(ref).books
        assert books.queued == books.in_flight == books.pending == 0, books
        outcome.accepted += books.accepted
        outcome.handled += books.handled
        outcome.dead.update(books.dead_by_reason)
    assert outcome.accepted == outcome.handled + sum(outcome.dead.values()), outcome
    # A flooder that died in the middle has sent what nobody could report.
    assert outcome.accepted >= sent, outcome
    counting.cancel()
    await system.shutdown(30.0)
    exchange.close()
    return outcome


def count_restart(outcome: Outcome) -> None:
    """Count a restart."""
    outcome.restarts += 1


async def start(
    system: System, exchange: Exchange, puppet: Component, actors: int
) -> list[ComponentRef[Any]]:
    """Start the actors, under a supervisor that tolerates everything."""
    make = Make(
        component=puppet._native,
        limits=Limits(memory="8MiB").native,
        settings=ActorSettings(
            codec="json",
            mailbox=500,
            max_consecutive=10**9,
        ),
        rights=MessageRights(send=("**",), ask=("**",)),
    )
    top = await system.start(Supervisor("soak", burst=10**9, period=1.0))
    refs: list[Any] = []
    for number in range(actors):
        spec = ComponentChild(
            f"n{number}",
            Site(exchange, f"soak/node#{number}", make),
            mailbox=Bounded(500),
        )
        refs.append(await top.start_child(spec))
    return refs


async def ask_to_flood(refs: list[ComponentRef[Any]], random: Random, outcome: Outcome) -> int:
    """Ask an actor to send on; sometimes break one first. Return what was accepted for sure."""
    sender, target = random.choice(refs), random.choice(refs)
    dice = random.random()
    if dice < 0.002:
        outcome.kills += 1
        target.kill()
    trap: list[Any] = []
    if dice > 0.998:
        outcome.traps += 1
        trap = [["trap"]]
    script = {"do": [["forget"], ["flood", target.address, FLOOD, {"do": [["forget"]]}], *trap]}
    try:
        (flooded,) = await sender.ask(script, 60.0)
    except MailboxFull:
        outcome.refused += 1
        return 0
    except AirsSysError:
        return 1  # it was accepted, and died or failed
    outcome.refused += sum(flooded["refused"].values())
    return 1 + int(flooded["ok"])


async def quiet(refs: list[ComponentRef[Any]]) -> None:
    """Wait until nothing is queued any more."""
    for ref in refs:
        try:
            await ref.ask({"do": [["forget"]]}, 60.0)
        except AirsSysError:
            continue


async def main() -> None:
    """Run the soak as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--actors", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("airssys").setLevel(logging.CRITICAL)
    puppet = Engine().load(PUPPET)
    outcome = await soak(
        System("soak"),
        puppet,
        messages=options.messages,
        actors=options.actors,
        seed=options.seed,
    )
    rate = outcome.accepted / outcome.seconds
    print(
        f"{outcome.accepted:,} messages among {options.actors:,} component actors in "
        f"{outcome.seconds:.0f} s ({rate:,.0f}/s): {outcome.handled:,} handled, "
        f"{sum(outcome.dead.values()):,} dead {dict(outcome.dead)}, {outcome.refused:,} refused; "
        f"{outcome.traps} traps, {outcome.kills} kills, {outcome.restarts} restarts; nothing lost"
    )


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except AssertionError as error:
        sys.exit(f"error: {error}")
