# ruff: noqa: INP001 - it runs in a component, beside the program
"""What runs first in a Python component: it makes the ordinary things work, then imports `app`.

A component is a snapshot of an interpreter that has imported its program. Two things would be
wrong in every instance of it: random numbers would begin at the state that was baked in, the same
in each; and what is printed would stay in a buffer that nobody empties.
"""

import contextlib
import importlib
import inspect
import io
import pkgutil
import random
import sys
from typing import Any


class Fresh(random.Random):
    """Random numbers that begin anew in each instance, whatever was done when it was built.

    A program that wants the same numbers each time seeds them in a call.
    """

    _begun = False

    def seed(self, a: Any = None, version: int = 2) -> None:
        """Begin where the program says."""
        super().seed(a, version)
        self._begun = True

    def setstate(self, state: Any) -> None:
        """Go on where the program says."""
        super().setstate(state)
        self._begun = True

    def _begin(self) -> None:
        if not self._begun:
            super().seed()
            self._begun = True

    def random(self) -> float:
        """Return a number from 0.0 up to 1.0."""
        self._begin()
        return super().random()

    def getrandbits(self, k: int, /) -> int:
        """Return a number of `k` bits."""
        self._begin()
        return super().getrandbits(k)

    def bake(self) -> None:
        """Forget what was seeded and drawn while the snapshot was made."""
        self._begun = False


def replace_shared() -> Fresh:
    """Let the functions of `random` draw from numbers that begin anew."""
    fresh = Fresh()
    fresh.bake()
    shared = random._inst  # noqa: SLF001
    for name in random.__all__:
        if getattr(getattr(random, name), "__self__", None) is shared:
            setattr(random, name, getattr(fresh, name))
    random._inst = fresh  # noqa: SLF001
    return fresh


def load_bindings() -> None:
    """Import all that was made of the world: an instance has no files to import from."""
    world = importlib.import_module("wit_world")
    for found in pkgutil.walk_packages(world.__path__, "wit_world."):
        importlib.import_module(found.name)


def check_world(given: dict[str, Any]) -> None:
    """Raise where the program lacks what its world exports; calls would find out otherwise."""
    wanted = {"WitWorld": getattr(importlib.import_module("wit_world"), "WitWorld", None)}
    with contextlib.suppress(ModuleNotFoundError):  # where it exports no interface
        wanted.update(vars(importlib.import_module("wit_world.exports")))
    for name, declared in wanted.items():
        if not isinstance(declared, type) or not getattr(declared, "_is_protocol", False):
            continue
        methods = [each for each in vars(declared) if inspect.isfunction(getattr(declared, each))]
        methods = [each for each in methods if not each.startswith("_")]
        made = given.get(name)
        if methods and not isinstance(made, type):
            raise TypeError(f"app.py has no class {name}, and its world exports {methods[0]}")
        for method in methods:
            if getattr(made, method, None) in (None, getattr(declared, method)):
                raise TypeError(f"{name} in app.py has no {method}(), and its world exports it")


for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=True)
numbers = replace_shared()

load_bindings()
import app  # type: ignore[import-not-found]  # noqa: E402 - after what it relies on

numbers.bake()
if sdk := sys.modules.get("airssys_component.actors"):
    globals().update(sdk.exports())
globals().update({name: value for name, value in vars(app).items() if not name.startswith("__")})
check_world(globals())
