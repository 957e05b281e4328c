"""Who holds a handle when a call does not begin, ends badly, or ends on an instance of a pool."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from pathlib import Path

import pytest

from airssys.wasm import (
    Component,
    Engine,
    Host,
    Instance,
    InstanceBusy,
    InstancePoisoned,
    LimitExceeded,
    Limits,
    Resource,
    Trap,
    WitError,
)

GUEST = Path(__file__).parents[3] / "build" / "components" / "resources.wasm"
COUNTERS = "demo:resources/counters#"
MERGE = f"{COUNTERS}[static]counter.merge"

BORROWS = b"""(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (import "demo:wat/host" (instance $host
    (alias outer 1 $pollable (type $p))
    (export "look" (func async (param "at" (borrow $p)) (result u32)))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $look (canon lower (func $host "look")))
  (core func $drop (canon resource.drop $pollable))
  (core module $m
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "look" (func $look (param i32) (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (func (export "lend") (result i32) (local $handle i32) (local $sum i32)
      (local.set $handle (call $subscribe (i64.const 1)))
      (local.set $sum (call $look (local.get $handle)))
      (local.set $sum (i32.add (local.get $sum) (call $look (local.get $handle))))
      (call $drop (local.get $handle))
      (local.get $sum)))
  (core instance $i (instantiate $m (with "host" (instance (export "subscribe" (func $subscribe))
    (export "look" (func $look)) (export "drop" (func $drop))))))
  (func (export "lend") async (result u32) (canon lift (core func $i "lend"))))"""


CHURN = b"""(component
  (import "demo:wat/host" (instance $host
    (export "thing" (type $thing (sub resource)))
    (export "[constructor]thing" (func (result (own $thing))))))
  (alias export $host "thing" (type $thing))
  (core func $new (canon lower (func $host "[constructor]thing")))
  (core func $drop (canon resource.drop $thing))
  (core module $m
    (import "host" "new" (func $new (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (func (export "churn") (param $times i32)
      (loop $again
        (call $drop (call $new))
        (br_if $again
          (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))))
  (core instance $i (instantiate $m
    (with "host" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
  (func (export "churn") (param "times" u32) (canon lift (core func $i "churn"))))"""


class Documents:
    """The interface `demo:resources/documents`; knows which of its documents are alive."""

    def __init__(self) -> None:
        self.alive = weakref.WeakSet()
        self.block: threading.Event | None = None
        self.reached = threading.Event()
        owner = self

        class Document:
            def __init__(self, name: str) -> None:
                self.held = name
                owner.alive.add(self)
                if name == "fail":
                    raise ValueError("no document of this name")
                if name == "wait":
                    owner.reached.set()
                    assert owner.block is not None
                    assert owner.block.wait(30)

            def read(self, _offset: int, _length: int) -> bytes:
                return b""

            def append(self, data: bytes) -> int:
                return len(data)

            def name(self) -> str:
                return self.held

            @staticmethod
            def open_count() -> int:
                gc.collect()
                return len(owner.alive)

        self.Document = Document

    def open(self, name: str) -> object:
        if name.startswith("fail"):
            raise RuntimeError(name)
        if not name:
            raise WitError("a document has a name")
        return self.Document(name)

    def compare(self, a: object, b: object) -> bool:
        return a is b

    def archive(self, document: object) -> str:
        return f"archived {document.name()}"

    def count(self) -> int:
        gc.collect()
        return len(self.alive)


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


async def wait(awaitable):
    return await awaitable


@pytest.mark.parametrize("how", ["dropped", "closed", "thrown into"])
def test_a_call_that_is_never_awaited_gives_nothing_away(instance, documents, how) -> None:
    first, second = counter(instance, 3), counter(instance, 4)
    document = documents.Document("draft")
    calls = [
        instance[MERGE].call_async(first, second),
        instance["rename"].call_async(document, "-2"),
    ]
    with pytest.raises(ValueError, match="given away"):
        first.value()
    del document
    for call in calls:
        if how == "closed":
            call.close()
        elif how == "thrown into":
            with pytest.raises(ZeroDivisionError):
                call.throw(ZeroDivisionError())
    del call
    calls.clear()
    gc.collect()
    assert (first.value(), second.value()) == (3, 4)
    assert documents.count() == 0


def test_a_call_of_a_busy_instance_gives_nothing_away(component) -> None:
    documents = Documents()
    told = []

    def busy(name: str) -> object:
        for attempt in (
            lambda: instance[MERGE](first, second),
            lambda: asyncio.run(wait(instance[MERGE].call_async(first, second))),
            lambda: instance["rename"](documents.Document("lost"), ""),
        ):
            with pytest.raises(InstanceBusy) as caught:
                attempt()
            told.append(caught.value)
        return documents.Document(name)

    documents.open = busy
    instance = component.instantiate(imports={"demo:resources/documents": documents})
    first, second = counter(instance, 3), counter(instance, 4)
    assert instance["open-and-archive"]("diary") == "archived diary"
    assert len(told) == 3
    told.clear()
    assert (first.value(), second.value()) == (3, 4)
    assert instance[MERGE](first, second).value() == 7
    assert documents.count() == 0


def test_a_call_of_a_closed_instance_keeps_no_object(instance, documents) -> None:
    instance.close()
    with pytest.raises(InstancePoisoned):
        instance["rename"](documents.Document("draft"), "-2")
    assert documents.count() == 0


def test_closing_lets_go_of_the_hosts_objects(instance, documents) -> None:
    assert instance["hoard"](10) == 10
    instance.close()
    assert documents.count() == 0


def test_a_failure_lets_go_of_the_hosts_objects(component, documents) -> None:
    instance = component.instantiate(
        limits=Limits(open_handles=20), imports={"demo:resources/documents": documents}
    )
    assert instance["hoard"](10) == 10
    with pytest.raises(LimitExceeded):
        instance["hoard"](50)
    assert documents.count() == 0
    assert "open_handles" in repr(instance)


def test_a_cancelled_call_lets_go_of_the_hosts_objects(component, documents) -> None:
    async def main() -> None:
        reached = asyncio.Event()

        async def never(_name: str) -> object:
            reached.set()
            return await asyncio.get_running_loop().create_future()

        documents.open = never
        instance = component.instantiate(imports={"demo:resources/documents": documents})
        assert await instance["hoard"].call_async(10) == 10
        task = asyncio.create_task(wait(instance["open-and-archive"].call_async("diary")))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert documents.count() == 0
        assert "cancelled" in repr(instance)

    asyncio.run(main())


def test_objects_that_the_guest_drops_go_while_its_call_goes_on() -> None:
    """A guest that makes and drops handles in a loop holds what it holds, not what it held."""
    alive: weakref.WeakSet[object] = weakref.WeakSet()
    most = 0

    class Thing:
        def __init__(self) -> None:
            nonlocal most
            alive.add(self)
            most = max(most, len(alive))

    component = Engine(cache=None).load(CHURN)
    instance = component.instantiate(imports={"demo:wat/host": {"Thing": Thing}})
    instance["churn"](100)
    assert most == 1
    assert len(alive) == 0


def test_an_async_host_function_gives_back_what_it_borrowed() -> None:
    seen = []

    async def look(at: Resource) -> int:
        seen.append(repr(at))
        await asyncio.sleep(0)
        return 21

    component = Engine(cache=None).load(BORROWS)
    assert component.profile == "concurrent"
    instance = component.instantiate(imports={"demo:wat/host": {"look": look}})
    assert instance["lend"]() == 42
    assert asyncio.run(wait(instance["lend"].call_async())) == 42
    assert seen == ["<pollable resource>"] * 4


def test_an_instance_and_what_it_calls_are_collected_together(component, documents) -> None:
    class Plugin:
        def __init__(self) -> None:
            self.instance = component.instantiate(imports={"demo:resources/documents": self})
            self.function = self.instance["hoard"]

        Document = documents.Document

        def compare(self, a: object, b: object) -> bool:
            raise AssertionError(self, a, b)

        open = archive = compare

    plugin = Plugin()
    assert plugin.function(5) == 5
    # One of the documents that the guest holds knows whose it is.
    next(iter(documents.alive)).plugin = plugin
    waiting = plugin.instance["release"].call_async()
    function, gone = plugin.function, weakref.ref(plugin)
    del plugin
    gc.collect()
    assert gone() is not None
    assert function(1) == 6, "a function keeps its instance and all that belongs to it"
    del function
    gc.collect()
    assert gone() is not None, "so does a call that may still be awaited"
    del waiting
    assert documents.count() == 0
    assert gone() is None


# Deployments.


def pooled(tmp_path: Path, documents: Documents, instances: int = 2, **settings):
    host = Host.open_blocking(tmp_path / "state", provides={"demo:resources/documents": documents})
    deployment = host.deploy(
        GUEST, name="demo/documents", lifetime="pooled", instances=instances, **settings
    )
    return host, deployment


def test_a_pooled_instance_keeps_its_objects_from_call_to_call(tmp_path, documents) -> None:
    host, deployment = pooled(tmp_path, documents, instances=1)
    with host:
        assert deployment.call("hoard", 10) == 10
        assert deployment.call("hoard", 5) == 15
        deployment.call("release")
        assert documents.count() == 0
        draft = documents.Document("draft")
        renamed = deployment.call("rename", draft, "-2")
        assert renamed.name() == "draft-2"
        assert documents.count() == 2
        assert deployment.call("hoard", 3) == 5


def test_objects_end_with_the_instance_of_the_pool_that_holds_them(tmp_path, documents) -> None:
    host, deployment = pooled(tmp_path, documents, instances=1)
    with host:
        assert deployment.call("hoard", 10) == 10
        with pytest.raises(Trap) as caught:
            deployment.call("open-and-archive", "fail")
        assert str(caught.value.__cause__) == "fail"
        assert documents.count() == 0
        assert deployment.call("hoard", 2) == 2
    assert documents.count() == 0


def test_a_failure_in_a_pool_does_not_touch_the_objects_of_others(tmp_path, documents) -> None:
    """Two instances hold documents at once; one fails, the other drops its own and no more."""
    documents.block = threading.Event()
    host, deployment = pooled(tmp_path, documents, instances=2)
    with host:
        answers = []
        other = threading.Thread(
            target=lambda: answers.append(deployment.call("open-and-archive", "wait"))
        )
        other.start()
        assert documents.reached.wait(30)
        assert deployment.call("hoard", 5) == 6
        with pytest.raises(Trap):
            deployment.call("open-and-archive", "fail-here")
        assert documents.count() == 1, "the document of the call that goes on"
        documents.block.set()
        other.join()
        assert answers == ["archived wait"]
        assert documents.count() == 0


def test_failures_of_calls_at_once_are_each_callers_own(tmp_path, documents) -> None:
    host, deployment = pooled(tmp_path, documents, instances=8)
    wrong = []

    def fail(number: int) -> None:
        for attempt in range(25):
            name = f"fail {number} {attempt}"
            with pytest.raises(Trap) as caught:
                deployment.call("open-and-archive", name)
            if str(caught.value.__cause__) != name:
                wrong.append((name, caught.value.__cause__))

    with host:
        threads = [threading.Thread(target=fail, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_call_that_waited_for_its_instance_drops_what_its_guest_drops(
    tmp_path, documents
) -> None:
    documents.block = threading.Event()
    host, deployment = pooled(tmp_path, documents, instances=1)
    with host:
        answers = []
        calls = [("open-and-archive", "wait"), ("compare-with-itself", "diary")]
        threads = []
        for call in calls:
            threads.append(
                threading.Thread(target=lambda call=call: answers.append(deployment.call(*call)))
            )
            threads[-1].start()
            assert documents.reached.wait(30)
            while deployment.statistics().in_flight < len(threads):
                assert threads[-1].is_alive()
        documents.block.set()
        for thread in threads:
            thread.join()
        assert answers == ["archived wait", False]
        assert documents.count() == 0
        assert deployment.call("hoard", 1) == 1


@pytest.mark.parametrize("lifetime", ["call", "pooled"])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [("[constructor]counter", (1,)), ("make-many", (2,)), ("total", ([],))],
)
def test_a_deployment_keeps_no_resources_of_its_guests(
    tmp_path, documents, lifetime, function, arguments
) -> None:
    with Host.open_blocking(
        tmp_path / "state", provides={"demo:resources/documents": documents}
    ) as host:
        deployment = host.deploy(GUEST, name="demo/documents", lifetime=lifetime)
        with pytest.raises(TypeError, match=r"counter.*instantiate"):
            deployment.call(COUNTERS + function, *arguments)
        assert deployment.call(f"{COUNTERS}live") == 0, "the guest was not asked"
        assert deployment.call("open-and-archive", "diary") == "archived diary"
