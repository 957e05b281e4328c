"""Where the components are that run scripts, and scripts made components by them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from airssys.wasm.blobs import BlobStore, digest_of
from airssys.wasm.engine import default_cache
from airssys.wasm.scripts.component import ScriptComponent
from airssys.wasm.scripts.errors import LoaderMissing
from airssys.wasm.scripts.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airssys.wasm.component import Component
    from airssys.wasm.engine import Engine

__all__ = ["Loaders", "loader_place"]

#: Loaders that this process has compiled or loaded, by digest; scripts come and go, these stay.
_loaded: Final[dict[str, Component]] = {}
_one_loading: Final = threading.Lock()


def loader_place(digest: str) -> Path:
    """Return where the user's cache has the loader of a digest."""
    return default_cache().parent / "loaders" / f"{digest.removeprefix('sha256:')}.wasm"


class Loaders:
    """The loaders that a state directory keeps: a script runs as it did on the day it was deployed.

    Args:
        directory: The state directory, which is owned.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: BlobStore | None = None

    def load(
        self, engine: Engine, content: bytes, given_up: Callable[[], bool] | None = None
    ) -> Component:
        """Load what is the content of a revision: a component, or a script by its loader.

        Args:
            engine: What loads components.
            content: The content.
            given_up: As `Engine.load` takes it.

        Raises:
            LoaderMissing: The loader of a script is neither here nor in the user's cache.
            InvalidComponent: It is neither a component nor a script.
        """
        script = Script.found_in(content)
        if script is None:
            return engine.load(content, given_up=given_up)
        loader = _loaded.get(script.loader)
        if loader is None:
            with _one_loading:
                loader = _loaded.get(script.loader)
                if loader is None:
                    loader = engine.load(self._content(script), given_up=given_up)
                    _loaded[script.loader] = loader
        self._keep(script)
        return ScriptComponent(loader, script, digest_of(content), len(content))

    def _content(self, script: Script) -> bytes:
        if self._path(script).exists():
            return self._store().get(script.loader)
        try:
            content = loader_place(script.loader).read_bytes()
        except OSError:
            content = b""
        if digest_of(content) != script.loader:
            raise LoaderMissing(
                f"{script.file} is run by the loader {script.loader}, which is not on this machine",
                hint="deploy the script again by `airssys deploy FILE`, which makes one",
            )
        return content

    def _keep(self, script: Script) -> None:
        if not self._path(script).exists():
            self._store().put(self._content(script))

    def _store(self) -> BlobStore:
        if self._kept is None:
            self._kept = BlobStore(self._directory, "loaders")
        return self._kept

    def _path(self, script: Script) -> Path:
        return self._directory / "loaders" / "sha256" / script.loader.removeprefix("sha256:")
