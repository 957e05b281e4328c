"""Components signed for something else, as a host that lets in trusted ones meets them."""

from __future__ import annotations

import pytest
from deputy_world import COMPONENTS

from airssys.wasm import Host
from airssys.wasm.trust import NotTrusted, SigningKey, TrustStore, sign
from airssys.wasm.trust.signature import embed

NAME = "acme/calculator"
CALCULATOR = (COMPONENTS / "calculator.wasm").read_bytes()
OTHER = (COMPONENTS / "calculator-2.wasm").read_bytes()


@pytest.fixture
def key(tmp_path):
    key = SigningKey.generate()
    (tmp_path / "state").mkdir()
    TrustStore(tmp_path / "state").trust(key.public, ("acme/*", "umbra/*"))
    return key


def refused_under(name, component, tmp_path):
    with Host.open_blocking(tmp_path / "state", admission="trusted") as host:
        with pytest.raises(NotTrusted):
            host.deploy(component, name=name)
        assert host.deployments() == ()


def test_a_signature_over_other_bytes_lets_nothing_in(tmp_path, key):
    refused_under(NAME, embed(OTHER, sign(CALCULATOR, key, name=NAME, version="1.0.0")), tmp_path)


def test_a_signature_for_another_name_lets_nothing_in(tmp_path, key):
    other = embed(CALCULATOR, sign(CALCULATOR, key, name="umbra/calculator", version="1.0.0"))
    refused_under(NAME, other, tmp_path)
