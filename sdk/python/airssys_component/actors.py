"""Actors: a class with handlers becomes a component that takes messages and keeps its state."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from airssys_component.bridge import bridge_logging
from airssys_component.errors import Refused
from airssys_component.messages import (
    JSON,
    NotUnderstood,
    from_json,
    from_payload,
    to_json,
    to_payload,
)
from airssys_component.talking import subscribe
from airssys_component.world import types

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["actor", "exports", "handles", "on_topic", "provide"]

C = TypeVar("C", bound=type)
F = TypeVar("F", bound="Callable[..., Any]")

_MARK = "__airssys_handles__"
_TOPIC = "__airssys_topic__"
#: What the world finds, by name; filled by `provide`.
_exports: dict[str, type] = {}


def handles(name: str) -> Callable[[F], F]:
    """Let a method handle the messages of a name.

    `"get"` is a message without content, `{"add": 2}` one whose content is 2. A method takes none
    of it, the whole of it, or its fields as several parameters; what it returns is the answer. The
    content is checked against the annotation: scalars, lists, dicts, dataclasses.
    """

    def mark(function: F) -> F:
        setattr(function, _MARK, name)
        return function

    return mark


def on_topic(pattern: str) -> Callable[[F], F]:
    """Let a method handle what is published under a pattern, which the actor subscribes to.

    It takes the content, or the topic and the content.
    """

    def mark(function: F) -> F:
        setattr(function, _TOPIC, pattern)
        return function

    return mark


def actor(*, name: str = "", version: str = "0.1.0") -> Callable[[C], C]:
    """Make a class the actor of this component. It becomes a dataclass; its fields are its state.

    They are written down when the host asks for a snapshot, and read back where an actor goes on
    after a restart, or in another revision. Methods that it may have besides handlers:

    - `started(self, config: dict[str, Any])`: an instance begins; `config` is what the operator
      set. `raise Refused(…)` keeps it from starting.
    - `stopped(self)`: it ends in order.
    - `migrated(cls, version: str, state: dict[str, Any])`, a class method: turns the state of
      another version into one of this.

    Args:
        name: How it calls itself; the name of the class by default.
        version: Of its state, by semver.
    """

    def make(cls: C) -> C:
        made: Any = dataclasses.dataclass(cls)
        kind = _Kind(made, name or cls.__name__.lower(), version)
        for export, each in kind.exports().items():
            provide(export, each)
        bridge_logging()
        return cls

    return make


def provide(name: str, cls: type) -> None:
    """Let the world find a class by the name that its bindings have for an interface."""
    _exports[name] = cls


def exports() -> dict[str, type]:
    """Return what the world finds, by name."""
    return dict(_exports)


class _Unhandled(Exception):
    """No handler takes a message of this name."""


@dataclasses.dataclass(frozen=True)
class _Method:
    """A handler, and the parameters that it takes."""

    function: Callable[..., Any]
    parameters: dict[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> _Method:
        hints = typing.get_type_hints(function)
        names = list(inspect.signature(function).parameters)[1:]
        return cls(function, {name: hints.get(name, Any) for name in names})

    def call(self, subject: object, content: Any) -> Any:
        if not self.parameters:
            return self.function(subject)
        if len(self.parameters) == 1:
            ((name, wanted),) = self.parameters.items()
            return self.function(subject, from_json(content, wanted, name))
        if not isinstance(content, dict) or set(content) != set(self.parameters):
            raise NotUnderstood(f"expected an object with {', '.join(self.parameters)}")
        given = {
            name: from_json(content[name], wanted, name) for name, wanted in self.parameters.items()
        }
        return self.function(subject, **given)


class _Kind:
    """The class of an actor, its handlers, and the one object that an instance has of it."""

    def __init__(self, cls: type, name: str, version: str) -> None:
        self.cls, self.name, self.version = cls, name, version
        methods = [each for _, each in inspect.getmembers(cls, inspect.isfunction)]
        self.handlers = {
            getattr(each, _MARK): _Method.of(each) for each in methods if hasattr(each, _MARK)
        }
        self.topics = {
            getattr(each, _TOPIC): _Method.of(each) for each in methods if hasattr(each, _TOPIC)
        }
        self.fields = typing.get_type_hints(cls)
        self.subject: Any = None

    def begin(self, config: dict[str, Any]) -> None:
        self.subject = self.cls()
        for pattern in self.topics:
            subscribe(pattern)
        if hasattr(self.subject, "started"):
            self.subject.started(config)

    def handle(self, source: Any, payload: bytes) -> Any:
        if self.subject is None:
            self.begin({})
        content = from_payload(payload)
        topic = getattr(getattr(source, "value", None), "topic", None)
        if topic is not None:
            return self.heard(topic, content)
        name, content = _named(content)
        if name not in self.handlers:
            known = ", ".join(sorted(self.handlers))
            raise _Unhandled(f"{self.name} handles {known}, not {name!r}")
        return self.handlers[name].call(self.subject, content)

    def heard(self, topic: str, content: Any) -> None:
        for pattern, method in self.topics.items():
            if _matches(pattern, topic):
                if len(method.parameters) > 1:
                    content = from_json(content, list(method.parameters.values())[1], "the message")
                    method.function(self.subject, topic, content)
                else:
                    method.call(self.subject, content)
                return

    def state(self) -> bytes:
        values = {name: getattr(self.subject, name) for name in self.fields}
        return json.dumps(to_json(values)).encode()

    def restore(self, values: Any) -> None:
        if self.subject is None:
            self.begin({})
        for name, value in values.items():
            if name in self.fields:
                setattr(self.subject, name, from_json(value, self.fields[name], name))

    def exports(self) -> dict[str, type]:
        kind = self

        class Handler:
            """What the world's `handler` calls."""

            def handle_message(self, message: Any) -> bytes | None:
                answer = _answer(lambda: kind.handle(message.source, message.payload))
                return to_payload(answer) if message.wants_reply else None

            def handle_callback(self, correlation: int, outcome: Any) -> None:  # noqa: ARG002
                raise _error("Unhandled", f"{kind.name} waits for no answer")

        class Lifecycle:
            """What the world's `lifecycle` calls."""

            def initialize(self, config: list[tuple[str, Any]]) -> None:
                _answer(lambda: kind.begin({name: _setting(value) for name, value in config}))

            def health(self) -> Any:
                return types().HealthReport(types().HealthStatus.HEALTHY, "")

            def metadata(self) -> Any:
                text = inspect.getdoc(kind.cls) or ""
                return types().ComponentMetadata(kind.name, kind.version, text, [JSON])

            def shutdown(self, reason: Any) -> None:  # noqa: ARG002
                if kind.subject is not None and hasattr(kind.subject, "stopped"):
                    kind.subject.stopped()

        class State:
            """What the world's `state` calls."""

            def snapshot(self) -> bytes:
                return kind.state()

            def restore(self, snapshot: bytes) -> None:
                _answer(lambda: kind.restore(json.loads(snapshot)))

            def migrate(self, version: str, snapshot: bytes) -> bytes:
                migrated = getattr(kind.cls, "migrated", None)
                if migrated is None:
                    return snapshot
                made = _answer(lambda: migrated(version, json.loads(snapshot)))
                return json.dumps(to_json(made)).encode()

        return {"Handler": Handler, "Lifecycle": Lifecycle, "State": State}


def _named(content: Any) -> tuple[str, Any]:
    """Return the name of a message and what it says."""
    if isinstance(content, str):
        return content, None
    if isinstance(content, dict) and len(content) == 1:
        ((name, value),) = content.items()
        return str(name), value
    raise NotUnderstood('a message is "name", or {"name": content}')


def _matches(pattern: str, topic: str) -> bool:
    words, heard = pattern.split("."), topic.split(".")
    if words[-1] == "**":
        return len(heard) >= len(words) and _matches(
            ".".join(words[:-1]), ".".join(heard[: len(words) - 1])
        )
    return len(words) == len(heard) and all(
        word in ("*", each) for word, each in zip(words, heard, strict=True)
    )


def _setting(value: Any) -> Any:
    """Return a setting as Python has it."""
    given = value.value
    return json.loads(given) if type(value).__name__.endswith("_Json") else given


def _answer(function: Callable[[], Any]) -> Any:
    """Call, and turn what a component may raise into errors of its world; the rest traps."""
    try:
        return function()
    except Refused as error:
        raise _error("Refused", str(error)) from error
    except NotUnderstood as error:
        raise _error("Undecodable", str(error)) from error
    except _Unhandled as error:
        raise _error("Unhandled", str(error)) from error


def _error(case: str, text: str) -> Exception:
    from componentize_py_types import Err  # type: ignore[import-not-found]  # noqa: PLC0415 - there is one in components only

    made: Exception = Err(getattr(types(), f"Error_{case}")(text))
    return made
