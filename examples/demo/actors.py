"""Component actors: state that goes over to the next version, and one that crashes."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from airssys.errors import AirsSysError
from airssys.rt import ActorFailed
from airssys.wasm.actors import ActorSettings
from examples.demo.delivery import BUILT
from examples.demo.telling import chapter, fail, first_line, shown, tell

if TYPE_CHECKING:
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from examples.demo.load import Load

KEYS: Final = ("ada", "grace", "alan")
MESSAGES: Final = 200


def handed_over(load: Load, host: BlockingConnectedHost) -> None:
    """Replace a counter while messages to it arrive; none is lost, and it goes on counting."""
    chapter("a component actor with state: counter 1 -> 2, while messages arrive")
    load.enter("beside a hand-over")
    counter = host.deploy(
        BUILT / "counter-rust.wasm",
        name="demo/counter",
        lifetime="actor",
        actor=ActorSettings(codec="json"),
    )
    half_way = threading.Barrier(len(KEYS) + 1)

    def send(key: str) -> None:
        actor = counter.actor(key)
        for number in range(MESSAGES):
            if number == MESSAGES // 2:
                half_way.wait()
            actor.tell({"add": 1})

    with ThreadPoolExecutor() as senders:
        sending = [senders.submit(send, key) for key in KEYS]
        half_way.wait()
        began = time.perf_counter()
        counter.deploy(BUILT / "counter-rust-2.wasm")
        took = time.perf_counter() - began
    for each in sending:
        each.result()
    counted = {key: counter.actor(key).ask("get") for key in KEYS}
    tell(f"replaced in {shown(took)}; each was told {MESSAGES} times: {counted}")
    if any(answer["count"] != MESSAGES for answer in counted.values()):
        raise fail("a message was lost, or the state was")
    if any(not 0 < answer["changes"] <= MESSAGES // 2 for answer in counted.values()):
        raise fail("version 2 did not count from where version 1 had come to")


def supervised(load: Load, host: BlockingConnectedHost) -> None:
    """Let a component actor crash in the middle of its messages."""
    chapter("a component actor that crashes, and its supervisor")
    load.enter("beside a crash")
    counter = host.deploy(
        BUILT / "counter-rust.wasm",
        name="demo/crashing",
        lifetime="actor",
        actor=ActorSettings(codec="json", burst=3, period=60.0),
    )
    actor = counter.actor()
    for amount in range(1, 101):
        actor.tell({"add": amount})
    try:
        actor.ask({"divide": 0})
    except ActorFailed as failure:
        tell(f"it crashed: {first_line(failure)}")
    else:
        raise fail("the crash was not reported")
    actor.tell({"add": 1})
    count = actor.ask("get")
    (seen,) = host.actors("demo/crashing")
    tell(f"its supervisor restarted it ({seen.restarts}), its mailbox was kept: it counts {count}")
    if (count, seen.restarts, seen.dead) != (1, 1, 1):
        raise fail(f"the restart lost something: {seen}")
    tell(f"and gave up on a crash loop: {given_up(counter, actor)}")


def given_up(counter: Any, actor: Any) -> str:
    """Let it crash until its supervisor has had enough; return what that says."""
    deadline = time.monotonic() + 10
    while counter.held is None:
        if time.monotonic() > deadline:
            raise fail("the crash loop went on")
        with contextlib.suppress(AirsSysError):
            actor.ask({"divide": 0})
    held: str = counter.held
    return held.partition(";")[0]
