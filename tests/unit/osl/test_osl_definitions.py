"""`@operation` and `@executor` refuse at definition time what could not work."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from airssys.osl import (
    DefinitionError,
    Executors,
    NotRegistered,
    Operation,
    OslError,
    Permission,
    Principal,
    ReadFile,
    Utility,
    executor,
    operation,
    operations,
)
from airssys.osl.files.executors import read_file


def permissions(self):
    return (Permission("custom", "use", "test/thing"),)


def test_operations_have_unique_ids_and_the_time_they_were_made():
    first, second = ReadFile("/x"), ReadFile("/x")
    assert first.id != second.id
    assert first == second
    assert 0 <= second.created - first.created < 60


def test_operations_cannot_be_changed():
    with pytest.raises(AttributeError):
        ReadFile("/x").path = "/y"


@pytest.mark.parametrize("name", ["", "read", "File.read", "file.read.all", "file-read", 7])
def test_a_malformed_name_is_refused(name):
    with pytest.raises(DefinitionError, match="cannot name an operation"):
        operation(name)


def test_what_is_no_frozen_dataclass_with_permissions_is_refused():
    class NoOperation:
        pass

    class NoDataclass(Operation[None]):
        pass

    @dataclass(frozen=True)
    class NoPermissions(Operation[None]):
        pass

    @dataclass(frozen=True)
    class AsyncPermissions(Operation[None]):
        async def permissions(self):
            return ()

    @dataclass(frozen=True)
    class TooManyArguments(Operation[None]):
        def permissions(self, more):
            return ()

    for cls, problem in [
        (NoOperation, "subclass of Operation"),
        (NoDataclass, "must be a dataclass"),
        (NoPermissions, "must define permissions"),
        (AsyncPermissions, "not async"),
        (TooManyArguments, "takes no arguments"),
    ]:
        with pytest.raises(DefinitionError, match=problem):
            operation("test.refused")(cls)
    assert "test.refused" not in operations()


def test_a_name_that_is_taken_is_refused():
    @dataclass(frozen=True)
    class Other(Operation[None]):
        permissions = permissions

    with pytest.raises(DefinitionError, match="exists already"):
        operation("file.read")(Other)


def test_an_executor_must_be_an_async_function_of_two_for_its_own_operation():
    def plain(operation, authority):
        pass

    async def one(operation):
        pass

    async def another(operation: str, authority):
        pass

    for function, problem in [
        (plain, "async def"),
        (one, "exactly"),
        (another, "annotated str, expected ReadFile"),
    ]:
        with pytest.raises(DefinitionError, match=problem):
            executor(ReadFile, register=False)(function)


def test_a_second_default_executor_is_refused():
    async def mine(operation: ReadFile, authority):
        pass

    with pytest.raises(DefinitionError, match="has an executor already"):
        executor(ReadFile)(mine)
    assert Executors()[ReadFile].function is read_file


def test_an_executor_can_be_replaced_for_a_pipeline():
    async def mine(operation: ReadFile, authority):
        pass

    replaced = Executors().replacing(executor(ReadFile, register=False)(mine))
    assert replaced[ReadFile].function is mine
    assert Executors()[ReadFile].function is read_file
    with pytest.raises(DefinitionError, match="is no executor"):
        Executors().replacing(len)


def test_an_operation_without_executor_says_so():
    @operation("test.lonely")
    @dataclass(frozen=True)
    class Lonely(Operation[None]):
        permissions = permissions

    with pytest.raises(NotRegistered, match=r"test\.lonely"):
        Executors()[Lonely]


@pytest.mark.parametrize("name", ["", "a b", "role:x", "a*", "a\nb", "a\x1b[0m"])
def test_a_name_that_could_be_taken_for_something_else_names_no_principal(name):
    with pytest.raises(OslError, match="cannot name a principal"):
        Principal(name)


def test_namespaces_are_first_segments():
    assert Principal("acme/web").namespace == "acme"
    assert Principal("alice").namespace == ""


def utility(*arguments):
    return Utility("test", "/bin/echo", arguments, lambda output: output)


@pytest.mark.parametrize(
    ("template", "problem"),
    [("{x}", "a placeholder"), ("{x:date}", "a placeholder"), ("-n{x:int*}", "of its own")],
)
def test_a_malformed_template_is_refused(template, problem):
    with pytest.raises(DefinitionError, match=problem):
        utility(template)


def test_a_placeholder_of_two_types_is_refused():
    with pytest.raises(DefinitionError, match="two types"):
        utility("{x:int}", "{x:text}")


def test_templates_are_filled_by_type():
    filled = utility("-n", "{n:int}", "--in={where:path}", "--", "{rest:text*}").fill(
        {"n": -3, "where": "/a b", "rest": ["x", "$(y)"]}
    )
    assert filled == ("-n", "-3", "--in=/a b", "--", "x", "$(y)")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "is missing"),
        ({"x": "a", "y": 1}, "is unknown"),
        ({"x": 7}, "expected text"),
        ({"x": "--output=/etc/passwd"}, "take for an option"),
        ({"x": "a\0b"}, "NUL"),
    ],
)
def test_a_value_that_is_no_data_is_refused(values, problem):
    with pytest.raises(OslError, match=problem):
        utility("{x:text}")(**values)
