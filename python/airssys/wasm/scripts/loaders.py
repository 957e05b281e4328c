"""Where the components are that run scripts, and scripts made components by them."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.wasm.blobs import BlobStore, digest_of
from airssys.wasm.engine import default_cache
from airssys.wasm.scripts.component import ScriptComponent
from airssys.wasm.scripts.errors import LoaderMissing
from airssys.wasm.scripts.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm.component import Component
    from airssys.wasm.engine import Engine

__all__ = ["PACKAGE", "Loaders", "find_loader", "loader_cache", "loader_folders"]

#: The package of loaders that were built beforehand: `pip install 'airssys[scripts]'`.
PACKAGE: Final = "airssys_scripts"

#: Loaders that this process has compiled or loaded, by digest; scripts come and go, these stay.
_loaded: Final[dict[str, Component]] = {}
_one_loading: Final = threading.Lock()


def loader_cache() -> Path:
    """Return the folder of the loaders that were built on this machine; it need not exist."""
    return default_cache().parent / "loaders"


def loader_folders() -> Iterator[Path]:
    """Return where loaders are: those that were built here, and those that are installed."""
    yield loader_cache()
    package = importlib.util.find_spec(PACKAGE)
    if package is not None:
        yield from map(Path, package.submodule_search_locations or ())


def find_loader(digest: str) -> Path | None:
    """Return the file of the loader of a digest, or None where this machine has none."""
    name = f"{digest.removeprefix('sha256:')}.wasm"
    return next((each / name for each in loader_folders() if (each / name).is_file()), None)


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
            LoaderMissing: This machine does not have the loader of a script.
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
        found = find_loader(script.loader)
        content = b"" if found is None else found.read_bytes()
        if digest_of(content) != script.loader:
            raise LoaderMissing(
                f"{script.file} is run by the loader {script.loader}, which is not on this machine",
                hint="deploy the script again by `airssys deploy FILE` here, which makes one, or"
                " pip install 'airssys[scripts]' of the version that deployed it",
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
