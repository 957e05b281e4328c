# ruff: noqa: D102, INP001 - the methods are those of the world; it runs in a component
"""A component that runs a script: it gets the source when it runs, once for each instance."""

from __future__ import annotations

import importlib
import inspect
import json
import linecache
import sys
import traceback
import types
from typing import Any

from airssys_component import actors
from airssys_component.messages import NotUnderstood, from_json, to_json
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.program import Failure, Function
from wit_world.imports import environment

# An instance has no files to import from: what scripts may import has to be here.
_MODULES = """
    abc array ast base64 binascii bisect calendar cmath collections collections.abc colorsys
    configparser contextlib contextvars copy csv dataclasses datetime decimal difflib email.message
    email.utils enum fnmatch fractions functools graphlib hashlib heapq hmac html html.parser
    http io ipaddress itertools json keyword linecache locale logging math mimetypes numbers
    operator os pathlib pprint quopri random re reprlib secrets shlex statistics string struct
    textwrap time tokenize tomllib traceback types typing unicodedata urllib.parse uuid warnings
    weakref xml.etree.ElementTree zlib
"""
for _name in _MODULES.split():
    try:
        importlib.import_module(_name)
    except ImportError:  # built without
        continue

_script: types.ModuleType | None = None


def _module() -> types.ModuleType:
    """Return the script as a module, whose statements have run."""
    global _script  # noqa: PLW0603 - one for each instance
    if _script is None:
        name, source = environment.get_arguments()
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        module = types.ModuleType("script")
        module.__file__ = name
        sys.modules["script"] = module
        exec(compile(source, name, "exec", dont_inherit=True), vars(module))  # noqa: S102
        _script = module
    return _script


def _functions(module: types.ModuleType) -> dict[str, Any]:
    return {
        name: each
        for name, each in vars(module).items()
        if inspect.isfunction(each) and each.__module__ == "script" and not name.startswith("_")
    }


def _failure(kind: str, message: str, line: int = 0, trace: str = "") -> Exception:
    return Err(Failure(kind, message, line, trace))


def _raised(error: BaseException) -> Exception:
    """Return what a script raised, with the line where it did and the frames of the script."""
    frames = traceback.extract_tb(error.__traceback__)
    name = environment.get_arguments()[0]
    own = [each for each in frames if each.filename == name]
    line = own[-1].lineno or 0 if own else 0
    if isinstance(error, SyntaxError):
        line = error.lineno or line
    told = traceback.format_list(own) + traceback.format_exception_only(error)
    return _failure(type(error).__name__, str(error), line, "".join(told).rstrip())


def _loaded() -> types.ModuleType:
    try:
        return _module()
    except (Exception, SystemExit) as error:
        raise _raised(error) from error


class Program(exports.Program):
    """What calls of a script's functions come to."""

    def describe(self) -> list[Function]:
        found = _functions(_loaded())
        return [
            Function(name, list(inspect.signature(each).parameters), inspect.getdoc(each) or "")
            for name, each in found.items()
        ]

    def call(self, name: str, arguments: str) -> str:
        functions = _functions(_loaded())
        function = functions.get(name)
        if function is None:
            raise _failure("unknown-function", ", ".join(functions))
        given = json.loads(arguments)
        try:
            bound = _bound(function, given)
        except (TypeError, NotUnderstood) as error:
            raise _failure("arguments", str(error)) from error
        try:
            result = function(*bound.args, **bound.kwargs)
            if inspect.iscoroutine(result):
                import asyncio  # noqa: PLC0415 - few scripts need it

                result = asyncio.run(result)
        except (Exception, SystemExit) as error:
            raise _raised(error) from error
        try:
            return json.dumps(to_json(result))
        except (TypeError, ValueError) as error:
            raise _failure("result", f"{name} returned what JSON has not: {error}") from error


def _bound(function: Any, given: Any) -> inspect.BoundArguments:
    """Return arguments as a function's annotations say."""
    signature = inspect.signature(function)
    bound = signature.bind(**given) if isinstance(given, dict) else signature.bind(*given)
    hints = inspect.get_annotations(function, eval_str=True)
    for name, value in bound.arguments.items():
        if name in hints and signature.parameters[name].kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            bound.arguments[name] = from_json(value, hints[name], name)
    return bound


def _actor(name: str) -> Any:
    """Return what the script's actor does for an interface of the world."""
    try:
        _module()
    except (Exception, SystemExit):
        # What the host is told of a trap is what was written before it.
        traceback.print_exc()
        raise
    found = actors.exports().get(name)
    if found is None:
        raise RuntimeError("the script has no class with @actor()")
    return found()


class Handler(exports.Handler):
    """Messages to the script's actor."""

    def handle_message(self, message: Any) -> bytes | None:
        return _actor("Handler").handle_message(message)  # type: ignore[no-any-return]

    def handle_callback(self, correlation: int, outcome: Any) -> None:
        _actor("Handler").handle_callback(correlation, outcome)


class Lifecycle(exports.Lifecycle):
    """The turns of the life of the script's actor."""

    def initialize(self, config: Any) -> None:
        _actor("Lifecycle").initialize(config)

    def health(self) -> Any:
        return _actor("Lifecycle").health()

    def metadata(self) -> Any:
        return _actor("Lifecycle").metadata()

    def shutdown(self, reason: Any) -> None:
        _actor("Lifecycle").shutdown(reason)


class State(exports.State):
    """The state of the script's actor."""

    def snapshot(self) -> bytes:
        return _actor("State").snapshot()  # type: ignore[no-any-return]

    def restore(self, snapshot: bytes) -> None:
        _actor("State").restore(snapshot)

    def migrate(self, version: str, snapshot: bytes) -> bytes:
        return _actor("State").migrate(version, snapshot)  # type: ignore[no-any-return]
