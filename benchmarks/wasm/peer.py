"""The peer: wasmtime-py with its component API, as its documentation uses it."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from benchmarks.row import UnavailableError

try:
    import wasmtime
    from wasmtime import component
except ImportError as missing:
    raise UnavailableError("wasmtime-py is not installed; `make setup` installs it") from missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "wasmtime-py " + importlib.metadata.version("wasmtime").partition(".")[0]


class Peer:
    """A component compiled by wasmtime-py, ready to be instantiated."""

    def __init__(
        self, path: Path, imports: dict[str, dict[str, Callable[..., Any]]] | None = None
    ) -> None:
        self.engine = wasmtime.Engine()
        self.component = component.Component.from_file(self.engine, str(path))
        self.linker = component.Linker(self.engine)
        self.linker.add_wasip2()
        for interface, functions in (imports or {}).items():
            with self.linker.root() as root, root.add_instance(interface) as instance:
                for name, function in functions.items():
                    instance.add_func(name, function)

    def instantiate(self) -> PeerInstance:
        """Make a store with a WASI context and an instance in it."""
        store = wasmtime.Store(self.engine)
        store.set_wasi(wasmtime.WasiConfig())
        return PeerInstance(store, self.linker.instantiate(store, self.component))


class PeerInstance:
    """One store and its instance."""

    def __init__(self, store: wasmtime.Store, instance: component.Instance) -> None:
        self.store = store
        self._instance = instance

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """Find `name` or `interface#name`."""
        interface, _, function = name.rpartition("#")
        parent = None
        if interface:
            parent = self._instance.get_export_index(self.store, interface)
        index = self._instance.get_export_index(self.store, function, parent)
        found = None if index is None else self._instance.get_func(self.store, index)
        if found is None:
            raise KeyError(name)
        store = self.store
        return lambda *arguments: found(store, *arguments)
