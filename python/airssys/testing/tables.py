"""Tests as data: tables of calls and what comes of them, for components in any language.

A file of tables looks like this; each case has a host of its own, and its steps one after another:

    [[case]]
    name = "greets by name"
    call = 'greet("Ada")'
    returns = 'ok("Hello, Ada!")'
    logs = ["greeting Ada"]

    [[case]]
    name = "counts"
    steps = [
        { ask = { add = 2 }, answers = 2 },
        { ask = "get", answers = 2 },
    ]
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Struct, field

from airssys.errors import AirsSysError
from airssys.osl.schema_file import Problem, check_toml, read_text
from airssys.testing.components import ComponentUnderTest, component_under_test
from airssys.wasm import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Outcome", "TableError", "read_cases", "run_cases"]


class TableError(AirsSysError):
    """A file of tables cannot be used; the message begins with `file:line:column`."""

    default_code = "tests-invalid"


class Publication(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is published.

    Attributes:
        topic: Where.
        message: What.
    """

    topic: str
    message: Any


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is done, and what is to come of it.

    Attributes:
        call: A call in WAVE: `greet("Ada")`.
        ask: A message to its actor, whose answer is waited for.
        tell: A message to its actor.
        publish: A message to a topic, as `{ topic = "texts.new", message = "…" }`.
        request: A request over HTTP: `GET /hello?name=Ada`.
        body: What the request carries: text, or anything else as JSON.
        key: Which actor; the main one by default.
        returns: What the call returns, in WAVE as `airssys call` prints it.
        answers: What the actor answers, or the body that comes back over HTTP.
        status: The status code that comes back over HTTP.
        fails: Part of the message of the error that the call or the request ends with.
        publishes: What it publishes then, by topic.
        logs: Texts that lines contain which it logged or printed until then.
        stores: What its storage holds after that: text by key.
        denies: Accesses that were refused until then: `filesystem.read /etc/passwd`.
    """

    call: str = ""
    ask: Any = UNSET
    tell: Any = UNSET
    publish: Publication | None = None
    request: str = ""
    body: Any = None
    key: str = ""
    returns: str | None = None
    answers: Any = UNSET
    status: int = 200
    fails: str | None = None
    publishes: dict[str, Any] = field(default_factory=dict)
    logs: tuple[str, ...] = ()
    stores: dict[str, str] = field(default_factory=dict)
    denies: tuple[str, ...] = ()


class Case(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test: one step, or several.

    Attributes:
        name: What it shows.
        steps: What is done, in the place of one step.
        grant: `requested`: it is granted what it asks for; `nothing`.
        config: What the operator sets.
    """

    name: str
    steps: tuple[Step, ...] = ()
    grant: Literal["requested", "nothing"] = "requested"
    config: dict[str, Any] = field(default_factory=dict)


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file."""

    case: tuple[Case, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case.

    Attributes:
        file: Its file.
        line: Where it begins there.
        name: Its name.
        problem: What was not as expected; empty where it passed.
    """

    file: str
    line: int
    name: str
    problem: str


def read_cases(file: Path) -> list[tuple[Case, int]]:
    """Read a file of tables: its cases, and the line where each begins.

    Raises:
        TableError: It is none; names file, line and column.
    """
    name = str(file)
    try:
        found = check_toml(read_text(file.read_bytes(), name), name, Table)
    except Problem as problem:
        raise problem.as_error(TableError) from problem.__cause__
    lines = found.lines.get("case", ())
    for case, line in zip(found.value.case, lines, strict=True):
        for step in case.steps or (case,):
            said = [bool(step.call), step.ask is not UNSET, step.tell is not UNSET]
            said += [step.publish is not None, bool(step.request)]
            if sum(said) != 1:
                raise TableError(
                    f"{name}:{line}:1: case {case.name!r}: each step is one of call, ask, tell, "
                    "publish and request",
                    file=name,
                    line=line,
                )
    return list(zip(found.value.case, lines, strict=True))


def run_cases(file: Path, component: Path) -> Iterator[Outcome]:
    """Run the cases of a file, in its order.

    Args:
        file: The tables.
        component: The component's file.

    Raises:
        TableError: The file is none; no case was run.
    """
    for case, line in read_cases(file):
        yield Outcome(str(file), line, case.name, _run(case, component))


def _run(case: Case, component: Path) -> str:
    """Run a case; return what is not as expected, or nothing."""
    grant: Literal["requested"] | None = "requested" if case.grant == "requested" else None
    steps = case.steps or (case,)
    with contextlib.ExitStack() as ending:
        try:
            subject = ending.enter_context(
                component_under_test(component, grant=grant, config=case.config)
            )
        except AirsSysError as error:  # it does not start
            return _failed(steps[0], error)
        for number, step in enumerate(steps, start=1):
            if problem := _problem(subject, step):
                return f"step {number}: {problem}" if case.steps else problem
    return ""


def _failed(step: Step, error: AirsSysError) -> str:
    """Return why an error is not the one that was expected, or nothing."""
    text = str(error)
    if error.__cause__ is not None:
        text = f"{text}: {error.__cause__}"
    if step.fails is not None and step.fails in text:
        return ""
    expected = "" if step.fails is None else f"expected an error with {step.fails!r}, got "
    return f"{expected}{type(error).__name__}: {text}"


def _problem(subject: ComponentUnderTest, step: Step) -> str:
    """Do a step; return what is not as expected, or nothing."""
    heard = {topic: subject.listen(topic) for topic in step.publishes}
    try:
        problem = _done(subject, step)
        for topic, message in step.publishes.items():
            found = heard[topic].next()
            if _plain(found) != message:
                return f"under {topic} it published {_shown(found)}, expected {_shown(message)}"
    except AssertionError as error:  # nothing arrived
        return str(error)
    except AirsSysError as error:
        if problem := _failed(step, error):
            return problem
    else:
        if step.fails is not None:
            return f"expected an error with {step.fails!r}, and there was none"
    return problem or _left_behind(subject, step)


def _left_behind(subject: ComponentUnderTest, step: Step) -> str:
    """Return what of logs, storage and refusals is not as expected, or nothing."""
    logged = [line.message for line in subject.logs()] if step.logs else []
    for text in step.logs:
        if not any(text in line for line in logged):
            return f"no line contains {text!r}; it logged {logged}"
    for key, value in step.stores.items():
        found = subject.stored(key)
        if found != value.encode():
            return f"storage has {found!r} under {key!r}, expected {value!r}"
    if step.denies:
        refused = [f"{each.operation} {each.target}" for each in subject.decisions("deny")]
        for access in step.denies:
            if access not in refused:
                return f"{access!r} was not refused; refused: {refused}"
    return ""


def _done(subject: ComponentUnderTest, step: Step) -> str:
    if step.call:
        return _called(subject, step)
    if step.request:
        return _requested(subject, step)
    if step.publish is not None:
        subject.actor(step.key)  # it subscribes when it starts
        taken = subject.publish(step.publish.topic, step.publish.message)
        return "" if taken else f"nobody subscribed to {step.publish.topic}"
    if step.tell is not UNSET:
        subject.tell(step.tell, key=step.key)
        return ""
    answer = subject.ask(step.ask, key=step.key)
    if step.answers is not UNSET and _plain(answer) != step.answers:
        return f"expected the answer {_shown(step.answers)}, got {_shown(answer)}"
    return ""


def _requested(subject: ComponentUnderTest, step: Step) -> str:
    method, _, target = step.request.partition(" ")
    if not target.startswith("/"):
        return f"{step.request!r} is no request: a method and a path are expected, `GET /`"
    answer = subject.request(method, target, step.body)
    if answer.status != step.status:
        return f"expected status {step.status}, got {answer.status}: {_shown(answer.value)}"
    if step.answers is not UNSET and answer.value != step.answers:
        return f"expected the body {_shown(step.answers)}, got {_shown(answer.value)}"
    return ""


def _called(subject: ComponentUnderTest, step: Step) -> str:
    component = subject.component
    try:
        path, arguments = component.parse_call(step.call)
    except ValueError as error:
        return str(error)
    failed = False
    try:
        value = subject.call(path, *arguments)
    except GuestError as error:
        if step.fails is not None:
            raise
        value, failed = error.value, True
    text = component.print_result(path, value, error=failed)
    if step.returns is None:
        return f"it returned {text}" if failed else ""
    try:
        expected = component.normal_result(path, step.returns)
    except ValueError as error:
        return str(error)
    return "" if text == expected else f"expected {expected}, got {text}"


def _plain(value: Any) -> Any:
    """Return a value as TOML would have it: tuples are lists."""
    return msgspec.to_builtins(value)


def _shown(value: Any) -> str:
    try:
        return json.dumps(_plain(value))
    except TypeError:
        return repr(value)
