"""Signatures, keys and the trust store."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from pathlib import Path

from airssys.wasm.errors import InvalidComponent
from airssys.wasm.sections import with_section
from airssys.wasm.trust import (
    KeyUnusable,
    PublicKey,
    SignatureUnusable,
    SigningKey,
    TrustStore,
    TrustStoreUnusable,
)
from airssys.wasm.trust.signature import read_signatures, subject_of
from airssys.wasm.trust.store import Level
from fuzz_targets.manifests import EMPTY

_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_KEY = PublicKey(bytes(range(32)))
_folders: list[Path] = []


def signatures(data: bytes) -> None:
    """Read signatures beside a component, in a section of it, and as the component itself.

    None of them is a good one, since no input can make one.
    """
    for component, detached in (
        (EMPTY, data),
        (with_section(EMPTY, "airssys-signatures", data), None),
        (data, None),
    ):
        try:
            found = read_signatures(component, detached)
            subject_of(component)
        except (SignatureUnusable, InvalidComponent):
            continue
        for each in found:
            with contextlib.suppress(SignatureUnusable):
                each.check(component, _KEY, now=_NOW)
                raise AssertionError(f"{each} counts")


def trust_files(data: bytes) -> None:
    """Read the same bytes as a trust store, a rotation of keys, a public and a private key."""
    folder = _folder()
    store = TrustStore(folder)
    path = folder / "trust.json"
    path.write_bytes(data)
    with contextlib.suppress(TrustStoreUnusable):
        store.keys()
        store.blocked()
        store.floors()
        if store.assess(EMPTY, "acme/fuzzed", now=_NOW).level is Level.TRUSTED:
            raise AssertionError("what nobody signed is trusted")
    with contextlib.suppress(TrustStoreUnusable):
        store.set_floor("acme/fuzzed", "1.0.0")
    path.unlink()
    with contextlib.suppress(TrustStoreUnusable):
        store.rotate(data)
        raise AssertionError("a key that is not there vouched for another")
    private = folder / "key"
    private.write_bytes(data)
    private.chmod(0o600)
    with contextlib.suppress(KeyUnusable):
        PublicKey.load(private)
    with contextlib.suppress(KeyUnusable):
        SigningKey.load(private)


def _folder() -> Path:
    if not _folders:
        _folders.append(Path(tempfile.mkdtemp(prefix="airssys-fuzz-")))
    return _folders[0]
