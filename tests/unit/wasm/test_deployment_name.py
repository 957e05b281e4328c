from __future__ import annotations

import pytest

from airssys.wasm.deployment_name import check_deployment_name, namespace_of
from airssys.wasm.host_errors import InvalidDeploymentName


@pytest.mark.parametrize(
    "name", ["acme/calc", "image/resizer", "abc/def/ghi", "a1b/c-2-d", "a" * 64 + "/abc"]
)
def test_valid_names_are_returned_as_they_are(name):
    assert check_deployment_name(name) == name


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("Acme/calc", "Acme"),
        ("acme/ca", "ca"),
        ("acme/" + "a" * 65, "a" * 65),
        ("acme//calc", ""),
        ("acme/calc/", ""),
        ("acme/-calc", "-calc"),
        ("acme/calc-", "calc-"),
        ("acme/ca--lc", "ca--lc"),
        ("acme/1calc", "1calc"),
        ("acme/ca_lc", "ca_lc"),
        ("acme/..", ".."),
        ("acme/calc\n", "calc\n"),
        ("acme/cälc", "cälc"),
    ],
)
def test_an_invalid_segment_is_named(name, segment):
    with pytest.raises(InvalidDeploymentName, match="lower-case") as caught:
        check_deployment_name(name)
    assert caught.value.context["segment"] == segment


def test_a_name_needs_a_namespace():
    with pytest.raises(InvalidDeploymentName, match="no namespace"):
        check_deployment_name("calc")


def test_a_name_is_a_string():
    with pytest.raises(InvalidDeploymentName, match="not bytes"):
        check_deployment_name(b"acme/calc")  # type: ignore[arg-type]


def test_the_namespace_is_the_first_segment():
    assert namespace_of("acme/calc/fast") == "acme"
