from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airssys.wasm import Host
from airssys.wasm.manifest import Capabilities, ComponentManifest, StorageRequest, embed_manifest
from airssys.wasm.manifest.component_manifest import About

OWN_STORAGE = StorageRequest(namespace="self", access=("read", "write", "delete", "list"))
COMPONENTS = Path(__file__).parents[3] / "build" / "components"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="session")
def key_value(tmp_path_factory):
    """The guest that uses storage in every way, with a manifest that asks for its own."""
    found = COMPONENTS / "key-value.wasm"
    assert found.is_file(), f"{found} is missing; `make guests` builds it"
    asking = ComponentManifest(
        schema=1,
        component=About(name="acme/store", version="1.0.0"),
        capabilities=Capabilities(storage=(OWN_STORAGE,)),
    )
    packed = tmp_path_factory.mktemp("packed") / found.name
    packed.write_bytes(embed_manifest(found.read_bytes(), asking))
    return packed


@pytest.fixture
def deployed(state, key_value):
    """A blocking host with the guest deployed as `acme/store`."""
    with Host.open_blocking(state) as host:
        yield host.deploy(key_value, grant="requested", name="acme/store", lifetime="pooled")


@pytest.fixture
def python():
    """Start Python on a piece of source text, with the package as this process has it."""
    started = []

    def start(source: str, *arguments: object, command=(), **options) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
