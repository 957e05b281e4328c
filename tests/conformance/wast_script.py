"""Run the directives of a `.wast` script through the public API, and count what happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airssys.errors import AirsSysError
from airssys.wasm import Component, Engine, GuestError, Instance, InstancePoisoned, Limits

from .wast_text import Form, String, component_source, line_of, parse
from .wast_values import argument, same, value_of

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(call_timeout=10.0)  # a script that hangs fails, and the next one runs


class UnexpectedError(Exception):
    """What a directive did, when it was not what the script says."""


class BlockedError(Exception):
    """A directive could not run, because the component that it needs had failed."""


@dataclass(slots=True)
class Outcome:
    """The directives of one script.

    Attributes:
        passed: How many did what the script says.
        blocked: How many could not run, because of one that failed.
        failed: What the others did, by line.
    """

    passed: int = 0
    blocked: int = 0
    failed: dict[int, str] = field(default_factory=dict)


class Script:
    """One script with the components and instances that it has named so far."""

    def __init__(self, engine: Engine, source: str) -> None:
        self._engine = engine
        self._source = source
        self._components: dict[str, Component] = {}
        self._instances: dict[str, Instance] = {}
        self._current: Instance | None = None

    def run(self) -> Outcome:
        """Run every directive; one that fails does not stop those after it."""
        outcome = Outcome()
        for form in parse(self._source):
            try:
                self._directive(form)
            except BlockedError:
                outcome.blocked += 1
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a panic of the core is one, and is a failure
                line = line_of(self._source, form.start)
                outcome.failed[line] = " ".join(f"{type(error).__name__}: {error}".split())
            else:
                outcome.passed += 1
        return outcome

    def _directive(self, form: Form) -> None:
        match form.head:
            case "component":
                self._component(form)
            case "assert_invalid" | "assert_malformed":
                self._refused(form)
            case "assert_trap":
                self._trap(form)
            case "assert_return":
                self._return(form)
            case "invoke":
                self._invoke(form)
            case other:
                raise UnexpectedError(f"the directive {other} is unknown to the runner")

    def _component(self, form: Form) -> None:
        names = [item for item in form.items[1:4] if isinstance(item, str) and item[:1] == "$"]
        if form.items[1:2] == ["definition"]:
            component = self._load(form)
            if names:
                self._components[names[0]] = component
            return
        # A component that fails must not leave its predecessor to be called in its place.
        self._current = None
        if form.items[1:2] == ["instance"]:
            if names[1] not in self._components:
                raise BlockedError
            component = self._components[names[1]]
        else:
            component = self._load(form)
        self._current = component.instantiate(limits=LIMITS)
        if names:
            self._instances[names[0]] = self._current

    def _load(self, form: Form) -> Component:
        return self._engine.load(component_source(self._source, form))

    def _refused(self, form: Form) -> None:
        component, message = form.items[1:3]
        assert isinstance(component, Form)
        assert isinstance(message, String)
        try:
            self._load(component)
        except AirsSysError as error:
            if message.text not in str(error):
                raise UnexpectedError(f"refused for another reason: {error}") from error
            return
        raise UnexpectedError(f"loaded, but should be refused: {message.text}")

    def _trap(self, form: Form) -> None:
        action, message = form.items[1:3]
        assert isinstance(action, Form)
        assert isinstance(message, String)
        try:
            self._component(action) if action.head == "component" else self._invoke(action)
        except InstancePoisoned as error:
            # A component with one instance inside: what the suite says of that one.
            if message.text != "cannot enter component instance":
                raise UnexpectedError(f"trapped for another reason: {error}") from error
            return
        except AirsSysError as error:
            if message.text not in str(error):
                raise UnexpectedError(f"trapped for another reason: {error}") from error
            return
        raise UnexpectedError(f"returned, but should trap: {message.text}")

    def _return(self, form: Form) -> None:
        action, *results = form.items[1:]
        assert isinstance(action, Form)
        expected = [value_of(result) for result in results if isinstance(result, Form)]
        actual = self._invoke(action)
        if not expected:
            if actual is not None:
                raise UnexpectedError(f"returned {actual!r}, expected nothing")
        elif not same(expected[0], actual):
            raise UnexpectedError(f"returned {actual!r}, expected {expected[0]!r}")

    def _invoke(self, form: Form) -> Any:
        items = form.items[1:]
        instance = self._current
        if isinstance(items[0], str):
            instance = self._instances[items.pop(0)]
        if instance is None:
            raise BlockedError
        name = items[0]
        assert isinstance(name, String)
        function = instance[name.text]
        arguments = [argument(value_of(item)) for item in items[1:] if isinstance(item, Form)]
        try:
            return function(*arguments)
        except GuestError as error:
            return error


def run(engine: Engine, file: Path) -> Outcome:
    """Run one script file."""
    return Script(engine, file.read_text("utf-8")).run()
