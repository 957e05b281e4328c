"""The conformance guest of the library for Python; `lib.rs` is the same in Rust."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from airssys_component import Delivery, Refused, actor, ask, handles, on_topic, publish

log = logging.getLogger(__name__)


@dataclass
class Order:
    article: str
    pieces: int = 1


@actor(name="local/greeter", version="1.0.0")
class Conformance:
    """What both libraries do."""

    count: int = 0
    heard: list[str] = field(default_factory=list)

    def started(self, config: dict[str, Any]) -> None:
        self.count = config.get("start", 0)
        if self.count < 0:
            raise Refused("it starts at 0 at least")

    @handles("add")
    def add(self, amount: int) -> int:
        self.count += amount
        log.info("counted", extra={"count": self.count})
        return self.count

    @handles("echo")
    def echo(self, text: str) -> str:
        return text

    @handles("order")
    def order(self, order: Order) -> str:
        if order.pieces < 1:
            raise Refused("at least one piece")
        return f"{order.pieces} {order.article}"

    @handles("forward")
    def forward(self, to: str, text: str) -> Any:
        try:
            return ask(to, {"echo": text})
        except Delivery as error:
            raise Refused(str(error)) from error

    @handles("announce")
    def announce(self, text: str) -> int:
        return publish("conformance.said", {"text": text})

    @on_topic("conformance.told.*")
    def told(self, topic: str, text: str) -> None:
        self.heard.append(f"{topic}: {text}")

    @handles("heard")
    def what_it_heard(self) -> list[str]:
        return self.heard

    @handles("fail")
    def fail(self) -> None:
        raise RuntimeError("as it was told to")
