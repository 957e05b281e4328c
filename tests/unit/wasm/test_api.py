from __future__ import annotations

import pytest

from airssys.wasm.api import Api

EXPORTS = ["add", "mean-value", "demo:calc/ops@1.0.0#add", "demo:calc/ops@1.0.0#divide", "a:b/c#x"]
EXPORTS += ["a:b/d#x"]


@pytest.fixture
def api():
    return Api(lambda path, *arguments: (path, *arguments), EXPORTS)


def test_an_attribute_calls_the_function_of_that_name(api):
    assert api.divide(1, 2) == ("demo:calc/ops@1.0.0#divide", 1, 2)


def test_a_function_of_the_world_comes_before_those_of_interfaces(api):
    assert api.add(1) == ("add", 1)


def test_hyphens_are_underscores(api):
    assert api.mean_value() == ("mean-value",)


def test_an_interface_is_named_with_or_without_its_version(api):
    assert api["demo:calc/ops"].add() == ("demo:calc/ops@1.0.0#add",)
    assert api["demo:calc/ops@1.0.0"].add() == ("demo:calc/ops@1.0.0#add",)
    assert dir(api["demo:calc/ops"]) == ["add", "divide"]


def test_what_several_interfaces_have_is_ambiguous(api):
    with pytest.raises(AttributeError, match="a:b/c#x, a:b/d#x; index by one"):
        _ = api.x
    assert api["a:b/d"].x() == ("a:b/d#x",)


def test_an_unknown_name_is_answered_with_the_near_ones(api):
    with pytest.raises(AttributeError, match="did you mean divide"):
        _ = api.divid
    with pytest.raises(AttributeError, match="there is add, divide, mean_value, x"):
        _ = api.zzzzzz
    assert not hasattr(api, "__len__")
