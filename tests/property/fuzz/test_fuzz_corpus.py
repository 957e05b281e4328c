"""The inputs that are kept of fuzz targets, run once; those in Rust run with the crate's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[3] / "fuzz"
sys.path.insert(0, str(FUZZ / "python"))

from fuzz_targets import TARGETS  # noqa: E402 - from the folder above


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_find_no_fault(target):
    inputs = sorted((FUZZ / "corpus" / target).iterdir())
    assert len(inputs) > 1
    for path in inputs:
        TARGETS[target](path.read_bytes())


def test_what_is_kept_stays_small():
    sizes = [path.stat().st_size for path in (FUZZ / "corpus").rglob("*") if path.is_file()]
    assert sum(sizes) < 1_000_000


def test_a_target_that_finds_a_fault_says_so(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("fuzz_targets.manifests.read_embedded", lambda _: None)
        with pytest.raises(AssertionError, match="another one"):
            TARGETS["component_manifest"]((FUZZ / "corpus/component_manifest/full").read_bytes())
