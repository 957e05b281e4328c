"""Damaged and hand-written files of trust: one error each, and nothing is admitted."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from airssys.wasm.trust import (
    KeyUnusable,
    PublicKey,
    SignatureUnusable,
    SigningKey,
    TrustStore,
    TrustStoreUnusable,
    read_signatures,
    rotation,
    sign,
)

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = b"\0asm\x0d\x00\x01\x00"
FRAME = (b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----")
NAIVE = dt.datetime(2027, 1, 1)  # noqa: DTZ001 - what is to be refused


def test_letters_beyond_ascii_are_no_key():
    with pytest.raises(KeyUnusable, match="not base64"):
        PublicKey.parse("airssys-ed25519 \u00e4\u00e4\u00e4\u00e4")


def test_a_private_key_in_the_place_of_a_public_one_is_not_shown(tmp_path: Path):
    SigningKey.generate().save(tmp_path / "key")
    with pytest.raises(KeyUnusable) as caught:
        PublicKey.load(tmp_path / "key")
    text = (tmp_path / "key").read_text().splitlines()[1]
    assert str(tmp_path / "key") in caught.value.message
    assert text[:8] not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        # The number of X25519 in the place of that of Ed25519.
        b"%b\nMC4CAQAwBQYDK2VvBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n%b\n" % FRAME,
        # An algorithm that nobody knows.
        b"%b\nMC4CAQAwBQYDK2UABCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n%b\n" % FRAME,
        *(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            for key in (X25519PrivateKey.generate(), generate_private_key(SECP256R1()))
        ),
    ],
    ids=["x25519-by-number", "unknown", "x25519", "p-256"],
)
def test_a_private_key_of_another_kind_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyUnusable, match=r"damaged|not an Ed25519 key"):
        SigningKey.load(path)


def test_a_time_without_a_zone_is_refused_wherever_it_stands(tmp_path: Path):
    key, store = SigningKey.generate(), TrustStore(tmp_path)
    with pytest.raises(SignatureUnusable, match="no time zone"):
        sign(EMPTY, key, name="acme/calc", version="1.0.0", not_after=NAIVE)
    with pytest.raises(TrustStoreUnusable, match="no time zone"):
        store.trust(key.public, ("**",), not_after=NAIVE)
    statement = json.loads(rotation(key, key.public, overlap_until=NAIVE.astimezone(dt.UTC)))
    statement["overlap_until"] = "2027-01-01T00:00:00"
    with pytest.raises(TrustStoreUnusable, match="not a rotation"):
        store.rotate(json.dumps(statement).encode())
    good = sign(EMPTY, key, name="acme/calc", version="1.0.0", not_after=NAIVE.astimezone(dt.UTC))
    statement = {f: getattr(good.statement, f) for f in good.statement.__struct_fields__}
    statement["not_after"] = "2027-01-01T00:00:00"
    with pytest.raises(SignatureUnusable, match="cannot be read"):
        read_signatures(EMPTY, json.dumps([{"statement": statement, "signature": ""}]).encode())
    store.trust(key.public, ("**",))
    path = tmp_path / "trust.json"
    content = json.loads(path.read_text())
    content["keys"][key.public.id]["not_after"] = "2027-01-01T00:00:00"
    path.write_text(json.dumps(content))
    with pytest.raises(TrustStoreUnusable, match="damaged"):
        store.assess(EMPTY, "acme/calc")


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[" * 100_000, b'{"schema": 2}'])
def test_a_store_of_any_bytes_is_damaged_and_admits_nothing(tmp_path: Path, content: bytes):
    (tmp_path / "trust.json").write_bytes(content)
    with pytest.raises(TrustStoreUnusable, match="damaged"):
        TrustStore(tmp_path).assess(EMPTY, "acme/calc")
    with pytest.raises(TrustStoreUnusable):
        TrustStore(tmp_path).rotate(content)
    with pytest.raises(SignatureUnusable):
        read_signatures(EMPTY, content)


def test_trust_without_a_state_directory_says_what_is_missing(tmp_path: Path):
    with pytest.raises(TrustStoreUnusable, match="there is no state directory at"):
        TrustStore(tmp_path / "nowhere").trust(SigningKey.generate().public, ("**",))
