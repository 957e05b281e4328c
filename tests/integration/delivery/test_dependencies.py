"""Dependencies between components: resolved when one is deployed, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from airssys.wasm import DependencyRefused
from airssys.wasm.delivery.dependencies import in_range
from airssys.wasm.manifest import embed_manifest
from airssys.wasm.manifest.read import parse_component_manifest

CALCULATOR = Path(__file__).parents[3] / "build" / "components" / "calculator.wasm"


def component(name, version, **dependencies):
    wanted = "".join(f'"{other}" = "{versions}"\n' for other, versions in dependencies.items())
    text = f'schema = 1\n[component]\nname = "{name}"\nversion = "{version}"\n'
    manifest = parse_component_manifest(f"{text}[dependencies]\n{wanted}")
    return embed_manifest(CALCULATOR.read_bytes(), manifest)


def test_a_dependency_is_resolved_and_locked(host):
    host.deploy(component("text/tokens", "1.2.0"), name="text/tokens")
    wanted = {"text/tokens": "^1.1"}
    search = host.deploy(component("text/search", "1.0.0", **wanted), name="text/search")
    locked = search.revision.dependencies["text/tokens"]
    assert (locked.range, locked.version, locked.revision) == ("^1.1", "1.2.0", 1)
    assert search.revision.about.version == "1.0.0"


def test_what_is_missing_or_of_another_version_is_refused(host):
    with pytest.raises(DependencyRefused, match="there is no such deployment; deploy 'text/to"):
        host.deploy(component("text/search", "1.0.0", **{"text/tokens": "^1"}), name="text/search")
    host.deploy(component("text/tokens", "2.0.0"), name="text/tokens")
    with pytest.raises(DependencyRefused, match=r"depends on 'text/tokens' \^1, and 2\.0\.0 is"):
        host.deploy(component("text/search", "1.0.0", **{"text/tokens": "^1"}), name="text/search")
    assert [each.name for each in host.deployments()] == ["text/tokens"]


def test_an_upgrade_that_breaks_a_dependant_is_refused_and_so_is_a_way_back(host):
    tokens = host.deploy(component("text/tokens", "1.0.0"), name="text/tokens")
    tokens.deploy(component("text/tokens", "1.2.0"))
    host.deploy(component("text/search", "1.0.0", **{"text/tokens": "^1.1"}), name="text/search")
    with pytest.raises(DependencyRefused, match=r"'text/search' depends on 'text/tokens' \^1\.1"):
        tokens.deploy(component("text/tokens", "2.0.0"))
    with pytest.raises(DependencyRefused, match="text/search"):
        tokens.rollback()
    assert tokens.deploy(component("text/tokens", "1.3.0")).revision.number == 3


def test_a_cycle_is_refused(host):
    one = host.deploy(component("acme/one", "1.0.0"), name="acme/one")
    host.deploy(component("acme/two", "1.0.0", **{"acme/one": "^1"}), name="acme/two")
    with pytest.raises(DependencyRefused, match="acme/one -> acme/two -> acme/one"):
        one.deploy(component("acme/one", "1.1.0", **{"acme/two": "^1"}))


@pytest.mark.parametrize(
    ("versions", "inside", "outside"),
    [
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0", "2.0.0-rc.1", "1.3.0-rc.1"]),
        ("^0.2.1", ["0.2.1", "0.2.9"], ["0.3.0", "0.2.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("1.2", ["1.4.0"], ["2.0.0"]),
        ("~1.2", ["1.2.9"], ["1.3.0"]),
        ("~1", ["1.9.0"], ["2.0.0"]),
        (">=1.2, <2", ["1.2.0", "1.9.0"], ["2.0.0", "1.1.0"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        (">1", ["1.0.1"], ["1.0.0"]),
        ("*", ["0.1.0", "9.0.0"], ["1.0.0-rc.1"]),
        ("^1.2.0-rc.1", ["1.2.0-rc.2", "1.2.0"], ["2.0.0-rc.1"]),
    ],
)
def test_ranges(versions, inside, outside):
    assert all(in_range(version, versions) for version in inside)
    assert not any(in_range(version, versions) for version in outside)
