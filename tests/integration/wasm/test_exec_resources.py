"""Resources of guests as handles in Python, and Python objects as resources of the host."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from airssys.wasm import (
    Component,
    Engine,
    GuestError,
    Instance,
    InstancePoisoned,
    LimitExceeded,
    Limits,
    Resource,
    WitError,
)

GUEST = Path(__file__).parents[3] / "build" / "components" / "resources.wasm"
COUNTERS = "demo:resources/counters#"


class Document:
    """A document of the host; `made` keeps a weak reference to each."""

    made: list[weakref.ref[Document]]

    def __init__(self, name: str) -> None:
        self._name = name
        self._data = bytearray()
        self.made.append(weakref.ref(self))

    def read(self, offset: int, length: int) -> bytes:
        if offset > len(self._data):
            raise WitError("beyond the end")
        return bytes(self._data[offset : offset + length])

    def append(self, data: bytes) -> int:
        self._data += data
        return len(self._data)

    def name(self) -> str:
        return self._name

    @classmethod
    def open_count(cls) -> int:
        return sum(reference() is not None for reference in cls.made)


class Documents:
    """The interface `demo:resources/documents`."""

    def __init__(self) -> None:
        self.Document = type("Document", (Document,), {"made": []})

    def open(self, name: str) -> Document:
        if not name:
            raise WitError("a document has a name")
        return self.Document(name)

    def compare(self, a: Document, b: Document) -> bool:
        return a is b

    def archive(self, document: Document) -> str:
        return f"archived {document.name()}"


@pytest.fixture(scope="module")
def component() -> Component:
    return Engine().load(GUEST)


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def instance(component, documents) -> Instance:
    return component.instantiate(imports={"demo:resources/documents": documents})


def counter(instance: Instance, start: int) -> Resource:
    return instance[f"{COUNTERS}[constructor]counter"](start)


def test_methods_are_attributes_and_with_drops(instance) -> None:
    live = instance[f"{COUNTERS}live"]
    with counter(instance, 5) as made:
        assert live() == 1
        assert made.increment(3) == 8
        assert made.value() == 8
        assert repr(made) == "<counter resource>"
    assert live() == 0
    assert "dropped" in repr(made)
    made.drop()
    assert live() == 0


def test_an_exception_in_the_with_block_drops_too(instance) -> None:
    with pytest.raises(ZeroDivisionError), counter(instance, 5):
        raise ZeroDivisionError
    assert instance[f"{COUNTERS}live"]() == 0


def test_use_after_the_drop(instance) -> None:
    made = counter(instance, 1)
    made.drop()
    with pytest.raises(ValueError, match="dropped or given away"):
        made.value()
    with pytest.raises(ValueError, match="dropped or given away"):
        instance[f"{COUNTERS}total"]([made])
    assert counter(instance, 2).value() == 2, "the instance is as good as before"


def test_use_after_it_was_given_away(instance) -> None:
    first, second = counter(instance, 1), counter(instance, 2)
    both = instance[f"{COUNTERS}[static]counter.merge"](first, second)
    assert both.value() == 3
    assert instance[f"{COUNTERS}live"]() == 1
    for gone in (first, second):
        with pytest.raises(ValueError, match="given away"):
            gone.value()


def test_a_call_that_did_not_begin_gives_nothing_away(instance) -> None:
    kept = counter(instance, 7)
    merge = instance[f"{COUNTERS}[static]counter.merge"]
    with pytest.raises(ValueError, match="given away"):
        merge(kept, kept)
    with pytest.raises(TypeError):
        merge(kept, 5)
    assert kept.value() == 7


def test_a_handle_of_another_instance(component, instance) -> None:
    other = component.instantiate(imports={"demo:resources/documents": Documents()})
    foreign = counter(other, 3)
    with pytest.raises(ValueError, match="another instance"):
        instance[f"{COUNTERS}total"]([foreign])
    with pytest.raises(ValueError, match="another instance"):
        instance[f"{COUNTERS}[method]counter.value"](foreign)
    assert foreign.value() == 3
    assert instance[f"{COUNTERS}live"]() == 0


@pytest.mark.parametrize("wrong", [0, None, "counter", object()])
def test_what_is_no_handle(instance, wrong) -> None:
    with pytest.raises(TypeError):
        instance[f"{COUNTERS}total"]([wrong])


def test_a_forgotten_handle_is_dropped_with_the_next_call(instance) -> None:
    made = instance[f"{COUNTERS}make-many"](100)
    assert sum(each.value() for each in made) == 4950
    assert instance[f"{COUNTERS}total"](made) == 4950
    del made
    gc.collect()
    assert instance[f"{COUNTERS}live"]() == 0


def test_handles_inside_options_and_results(instance) -> None:
    assert instance[f"{COUNTERS}maybe"](None) is None
    assert instance[f"{COUNTERS}maybe"](4).value() == 4
    assert instance[f"{COUNTERS}[static]counter.parse"]("12").value() == 12
    with pytest.raises(GuestError, match="-1"):
        instance[f"{COUNTERS}[static]counter.parse"]("-1")


def test_a_method_that_does_not_exist(instance) -> None:
    with pytest.raises(AttributeError, match="no method 'explode'"):
        counter(instance, 0).explode()


def test_a_handle_outlives_neither_its_instance_nor_its_store(component) -> None:
    instance = component.instantiate(imports={"demo:resources/documents": Documents()})
    closed = counter(instance, 1)
    instance.close()
    with pytest.raises(InstancePoisoned):
        closed.value()
    instance = component.instantiate(imports={"demo:resources/documents": Documents()})
    orphan = counter(instance, 1)
    del instance
    gc.collect()
    with pytest.raises(ReferenceError, match="gone"):
        orphan.value()


def test_methods_can_be_awaited(instance) -> None:
    async def main() -> None:
        made = await instance[f"{COUNTERS}[constructor]counter"].call_async(5)
        increment = instance[f"{COUNTERS}[method]counter.increment"]
        assert await increment.call_async(made, 2) == 7
        again = await instance[f"{COUNTERS}pass-through"].call_async(made)
        assert await increment.call_async(again, 2) == 9

    asyncio.run(main())


def test_host_resources_are_python_objects(instance, documents) -> None:
    assert instance["write-and-read"]("notes", [b"ab", b"", b"cd"]) == b"abcd"
    assert documents.Document.open_count() == 0, "the guest dropped it"
    assert instance["open-and-archive"]("diary") == "archived diary"
    assert instance["compare-with-itself"]("diary") is False
    with pytest.raises(GuestError, match="has a name"):
        instance["open-and-archive"]("")
    assert documents.Document.open_count() == 0


def test_what_the_guest_keeps_is_kept_until_it_lets_go(instance, documents) -> None:
    assert instance["hoard"](10) == 10
    gc.collect()
    assert documents.Document.open_count() == 10
    instance["release"]()
    assert documents.Document.open_count() == 0


def test_an_instance_that_is_gone_lets_go_of_the_hosts_objects(component, documents) -> None:
    instance = component.instantiate(imports={"demo:resources/documents": documents})
    assert instance["hoard"](10) == 10
    instance.close()
    del instance
    gc.collect()
    assert documents.Document.open_count() == 0


def test_host_objects_count_as_open_handles(component, documents) -> None:
    instance = component.instantiate(
        limits=Limits(open_handles=20), imports={"demo:resources/documents": documents}
    )
    assert instance["hoard"](15) == 15
    with pytest.raises(LimitExceeded) as caught:
        instance["hoard"](50)
    assert (caught.value.limit, caught.value.configured) == ("open_handles", 20)
    with pytest.raises(InstancePoisoned, match="open_handles"):
        instance["release"]()


def test_a_host_object_through_an_export_and_back(instance, documents) -> None:
    first = documents.Document("draft")
    second = instance["rename"](first, "-2")
    assert isinstance(second, documents.Document)
    assert second.name() == "draft-2"
    assert first.name() == "draft", "Python still has its own reference"
