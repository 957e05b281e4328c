"""Named external programs with a typed argument template and parsed output."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from airssys.osl.errors import DefinitionError, OslError, UtilityFailed
from airssys.osl.executor import Outcome, executor
from airssys.osl.operation import Operation, Permission, operation
from airssys.osl.processes.executors import run_process
from airssys.osl.processes.operations import RunProcess
from airssys.osl.processes.records import ProcessLimits, ProcessOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airssys.osl.authority import Authority
    from airssys.osl.files.operations import PathLike

__all__ = ["RunUtility", "Utility"]

T = TypeVar("T")

_SLOT = re.compile(r"\{([a-z_][a-z0-9_]*):(path|text|int)(\*?)\}")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "path": (str, bytes, os.PathLike),
    "text": (str,),
    "int": (int,),
}


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    type: str
    repeated: bool


@dataclass(frozen=True)
class Utility(Generic[T]):
    """A program that a pipeline may run by name, and how to talk to it.

    The template is one text per argument. `{name:type}` stands for a value; the types are `path`
    (absolute), `text` and `int`. `{name:type*}` alone stands for an argument per value of a
    sequence. A value can only ever be data: text that begins with `-` is refused where it would be
    an argument of its own.

    Attributes:
        name: What errors call it.
        program: Absolute path, or a name for the pipeline's `search_path`.
        arguments: The template.
        parse: Makes the output from what the program wrote; `ValueError` says that it cannot.
        accepts: Exit codes that are no failure.
        environment: Variables for the program.
        timeout: Seconds it may take.

    Raises:
        DefinitionError: The template has a placeholder that is malformed or used twice with
            different types.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    parse: Callable[[ProcessOutput], T]
    accepts: tuple[int, ...] = (0,)
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = 60.0
    limits: ProcessLimits = field(default_factory=ProcessLimits)

    def __post_init__(self) -> None:
        """Check the template."""
        self.slots()

    def slots(self) -> dict[str, _Slot]:
        """Return the placeholders by name."""
        slots: dict[str, _Slot] = {}
        for argument in self.arguments:
            rest = _SLOT.sub("", argument)
            if "{" in rest or "}" in rest:
                raise DefinitionError(
                    f"the argument {argument!r} of {self.name!r} has a placeholder that is none; "
                    "expected {name:path}, {name:text}, {name:int}, or one of them with `*`"
                )
            for match in _SLOT.finditer(argument):
                slot = _Slot(match[1], match[2], bool(match[3]))
                if slot.repeated and match[0] != argument:
                    raise DefinitionError(
                        f"{match[0]!r} of {self.name!r} stands for several arguments, so it must "
                        "be an argument of its own"
                    )
                if slots.setdefault(slot.name, slot) != slot:
                    raise DefinitionError(
                        f"{slot.name!r} of {self.name!r} is used with two types; choose one"
                    )
        return slots

    def __call__(self, *, directory: PathLike | None = None, **values: object) -> RunUtility[T]:
        """Return the operation that runs this with the given values.

        Raises:
            OslError: A value is missing, unknown, of another type, or could be taken for an option.
        """
        operation = RunUtility(self, MappingProxyType(dict(values)), directory)
        operation.command()
        return operation

    def fill(self, values: Mapping[str, object]) -> tuple[str | bytes, ...]:
        """Return the arguments with the values in place."""
        slots = self.slots()
        for name in values:
            if name not in slots:
                raise self._wrong(name, f"is unknown; it takes {', '.join(slots) or 'no values'}")
        filled: list[str | bytes] = []
        for argument in self.arguments:
            whole = _SLOT.fullmatch(argument)
            if whole:
                filled.extend(self._own_arguments(slots[whole[1]], values))
            else:
                filled.append(
                    _SLOT.sub(lambda match: self._part(slots[match[1]], values), argument)
                )
        return tuple(filled)

    def _own_arguments(self, slot: _Slot, values: Mapping[str, object]) -> list[str | bytes]:
        value = self._given(slot, values)
        if slot.repeated:
            if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
                raise self._wrong(slot.name, "must be a sequence")
            return [self._argument(slot, each) for each in value]
        return [self._argument(slot, value)]

    def _given(self, slot: _Slot, values: Mapping[str, object]) -> object:
        if slot.name not in values:
            raise self._wrong(slot.name, "is missing")
        return values[slot.name]

    def _argument(self, slot: _Slot, value: object) -> str | bytes:
        text = self._checked(slot, value)
        if text[:1] in {"-", b"-"} and slot.type != "int":
            raise self._wrong(
                slot.name, f"is {value!r}, which the program would take for an option"
            )
        return text

    def _part(self, slot: _Slot, values: Mapping[str, object]) -> str:
        return os.fsdecode(self._checked(slot, self._given(slot, values)))

    def _checked(self, slot: _Slot, value: object) -> str | bytes:
        if not isinstance(value, _TYPES[slot.type]) or isinstance(value, bool):
            raise self._wrong(slot.name, f"is {value!r}, expected {slot.type}")
        if isinstance(value, int):
            return str(value)
        text: str | bytes = os.fspath(value)  # type: ignore[call-overload]
        if (b"\0" if isinstance(text, bytes) else "\0") in text:  # type: ignore[operator]
            raise self._wrong(slot.name, "has a NUL in it")
        if slot.type == "path" and not os.path.isabs(text):
            raise self._wrong(slot.name, f"is {value!r}, expected an absolute path")
        return text

    def _wrong(self, name: str, problem: str) -> OslError:
        return OslError(
            f"the value {name!r} of the utility {self.name!r} {problem}",
            code="invalid-argument",
            utility=self.name,
            value=name,
        )


@operation("utility.run")
@dataclass(frozen=True, slots=True)
class RunUtility(Operation[T]):
    """Run a utility; made by calling it.

    Attributes:
        utility: Which one.
        values: For the placeholders of its template.
        directory: Working directory.
    """

    utility: Utility[T]
    values: Mapping[str, object] = field(default_factory=dict, hash=False)
    directory: PathLike | None = None

    def permissions(self) -> tuple[Permission, ...]:
        """Spawn the program."""
        return (Permission("process", "spawn", self.utility.program),)

    def command(self) -> RunProcess:
        """Return the process that this comes down to."""
        return RunProcess(
            program=self.utility.program,
            arguments=self.utility.fill(self.values),
            environment=self.utility.environment,
            directory=self.directory,
            limits=self.utility.limits,
            timeout=self.utility.timeout,
        )


@executor(RunUtility, decides="itself")
async def run_utility(operation: RunUtility[T], authority: Authority) -> Outcome[T]:
    """Run the program and parse what it wrote."""
    utility = operation.utility
    outcome = await run_process(operation.command(), authority)
    output = outcome.output
    if output.exit_code not in utility.accepts:
        said = output.stderr.decode(errors="backslashreplace").strip()
        raise UtilityFailed(
            f"{utility.name} ended with {output.exit_code}: {said[:500] or 'it said nothing'}",
            utility=utility.name,
            exit_code=output.exit_code,
            stderr=output.stderr,
        )
    try:
        parsed = utility.parse(output)
    except ValueError as error:
        raise UtilityFailed(
            f"the output of {utility.name} could not be read: {error}",
            utility=utility.name,
            exit_code=output.exit_code,
            stdout=output.stdout,
        ) from error
    return Outcome(parsed, outcome.exit_code, outcome.metadata)
