"""The lock of the fuzz targets follows that of the product: `make fuzz` builds with `--locked`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def locked(path: Path) -> dict[str, dict[str, list[str]]]:
    """The names of the dependencies of each package, by name and version."""
    found: dict[str, dict[str, list[str]]] = {}
    for each in tomllib.loads(path.read_text())["package"]:
        names = [text.partition(" ")[0] for text in each.get("dependencies", [])]
        found.setdefault(each["name"], {})[each["version"]] = names
    return found


def test_the_fuzz_targets_are_locked_to_what_the_product_is_built_of() -> None:
    product, fuzzed = locked(ROOT / "Cargo.lock"), locked(ROOT / "fuzz/Cargo.lock")
    stale = "it is stale: copy Cargo.lock over fuzz/Cargo.lock and `cargo build` there"
    # What the crate needs in its tests is no part of a build of it.
    needs = set(fuzzed["airssys-host"]["0.1.0"])
    assert needs <= set(product["airssys-host"]["0.1.0"]), stale
    missing = {name for name in declared() if name not in needs}
    assert not missing, f"{missing}: {stale}"
    for name in needs:
        assert set(fuzzed[name]) <= set(product[name]), f"{name}: {stale}"


def declared() -> set[str]:
    """What the crate declares that it needs."""
    manifest = tomllib.loads((ROOT / "crates/airssys-host/Cargo.toml").read_text())
    return set(manifest["dependencies"])
