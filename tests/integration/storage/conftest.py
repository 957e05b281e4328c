from __future__ import annotations

import pytest

from airssys.wasm import Host
from airssys.wasm.manifest import Capabilities, ComponentManifest, StorageRequest, embed_manifest
from airssys.wasm.manifest.component_manifest import About

OWN_STORAGE = StorageRequest(namespace="self", access=("read", "write", "delete", "list"))


@pytest.fixture(scope="session")
def key_value(tmp_path_factory, guest):
    """The guest that uses storage in every way, with a manifest that asks for its own."""
    found = guest("key-value")
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
