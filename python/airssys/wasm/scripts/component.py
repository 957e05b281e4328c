"""A script as a component: the loader of its language, and the source that it is given."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm.component import Component
from airssys.wasm.errors import UnknownExport
from airssys.wasm.host_errors import nearest
from airssys.wasm.scripts.errors import ScriptError
from airssys.wasm.values import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airssys.wasm._native import _core
    from airssys.wasm.scripts.script import Script

__all__ = ["ScriptComponent"]

_PROGRAM: Final = "airssys:script/program@1.0.0"
_CALL: Final = f"{_PROGRAM}#call"
_CALL_TEXT: Final = re.compile(r"\s*(?P<name>[^\s(]+)\s*\((?P<arguments>.*)\)\s*", re.DOTALL)


class ScriptComponent(Component):
    """A script and the compiled loader that runs it. The loader is shared by all scripts.

    Its functions are known once it has run; values are what JSON has.

    Args:
        loader: The loader of the script's language.
        script: The script.
        digest: Of the content that it came in.
        size: Bytes of that.
    """

    __slots__ = ("_digest", "_found", "_size", "script")

    def __init__(self, loader: Component, script: Script, digest: str, size: int) -> None:
        super().__init__(loader._native)  # noqa: SLF001
        self.script = script
        self._digest = digest
        self._size = size
        self._found: dict[str, tuple[str, ...]] = {}

    @property
    def digest(self) -> str:
        """`sha256:…` of the content of the revision."""
        return self._digest

    @property
    def size(self) -> int:
        """Bytes of the content of the revision."""
        return self._size

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the loader is started with: the name of the file, and its source."""
        return (self.script.file, self.script.source)

    @property
    def exports(self) -> list[str]:
        """The names of the functions; none before it has run."""
        return list(self._found)

    def signature(self, path: str) -> str:
        """Return what a function takes and gives."""
        parameters = ", ".join(f"{name}: json" for name in self._parameters(path))
        return f"func({parameters}) -> json"

    @property
    def types(self) -> dict[str, type[Any]]:
        """No classes: values are what JSON has."""
        return {}

    def parse_call(self, text: str) -> tuple[str, tuple[Any, ...]]:
        """Read a call: `greet("Ada", 2)`, arguments as in JSON."""
        found = _CALL_TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is no call; write it as greet("Ada", 2)')
        self._parameters(found["name"])
        try:
            arguments = json.loads(f"[{found['arguments']}]")
        except ValueError as error:
            raise ValueError(f"the arguments of {text!r} are no JSON: {error}") from None
        return found["name"], tuple(arguments)

    def print_result(self, path: str, value: object, *, error: bool = False) -> str | None:
        """Write what a function returned as JSON."""
        del path, error
        return json.dumps(value, ensure_ascii=False)

    def normal_result(self, path: str, text: str) -> str | None:
        """Write JSON that stands for a result as `print_result` would."""
        return self.print_result(path, json.loads(text))

    def run(self, **_: Any) -> Any:
        """Refuse: a script has functions, and is no command."""
        text = f"{self.script.file} is a script, which is no command"
        raise UnknownExport(text, name="run", near=[])

    def begin(self, limits: _core.Limits, wasi: _core.Wasi) -> None:
        """Run the script's own statements in an instance for this alone; find its functions.

        Raises:
            ScriptError: It raised.
            LimitExceeded: It came to no end.
        """
        with self._native.instantiate(limits, wasi, []) as instance:
            try:
                found = instance[f"{_PROGRAM}#describe"]()
            except GuestError as error:
                raise self._failed("", error) from None
        self._found = {each.name: tuple(each.parameters) for each in found}

    def call(
        self, call: Callable[..., Any], function: str, arguments: Sequence[Any], *rest: Any
    ) -> Any:
        """Call a function, and return what it gave.

        Args:
            call: Calls a path with arguments, by position and by name, and what else there is.
            function: Its name.
            arguments: What it is given by position.
            rest: What it is given by name, and what `call` takes besides.
        """
        text, *rest_of = self._given(function, arguments, *rest)
        try:
            return json.loads(call(_CALL, (function, text), {}, *rest_of))
        except GuestError as error:
            raise self._failed(function, error) from None

    async def call_async(
        self, call: Callable[..., Any], function: str, arguments: Sequence[Any], *rest: Any
    ) -> Any:
        """Call a function from asyncio; as `call`."""
        text, *rest_of = self._given(function, arguments, *rest)
        try:
            return json.loads(await call(_CALL, (function, text), {}, *rest_of))
        except GuestError as error:
            raise self._failed(function, error) from None

    def _given(
        self, function: str, arguments: Sequence[Any], named: Mapping[str, Any], *rest: Any
    ) -> tuple[Any, ...]:
        """Return arguments as the loader takes them."""
        if arguments and named:
            names = self._parameters(function)
            if len(arguments) > len(names):
                raise TypeError(f"{function}() takes {len(names)} arguments")
            named = dict(zip(names, arguments, strict=False)) | dict(named)
        try:
            return (json.dumps(named or list(arguments)), *rest)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{function}(): arguments of scripts are JSON: {error}") from None

    def _parameters(self, function: str) -> tuple[str, ...]:
        found = self._found.get(function)
        if found is None:
            raise self._unknown(function)
        return found

    def _unknown(self, function: str) -> UnknownExport:
        near = nearest(function, self._found)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(self._found)}"
        )
        text = f"{self.script.file} has no function '{function}'; {hint}"
        return UnknownExport(text, name=function, near=near)

    def _failed(self, function: str, error: GuestError) -> Exception:
        failure: Any = error.value
        if failure.kind == "unknown-function":
            return self._unknown(function)
        file, line = self.script.file, failure.line
        return ScriptError(file, line, failure.kind, failure.message, failure.trace)

    def __repr__(self) -> str:
        return f"<ScriptComponent {self.script.file} {self.digest}>"
