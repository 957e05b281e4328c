"""WIT streams and futures: guests' in Python, and Python's in guests."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from pathlib import Path

import pytest

from airssys.wasm import (
    Component,
    Engine,
    GuestError,
    GuestFuture,
    GuestStream,
    Host,
    Instance,
    InstanceBusy,
    InstancePoisoned,
    LimitExceeded,
    Limits,
    Trap,
)

GUEST = Path(__file__).parents[3] / "build" / "components" / "streams.wasm"
SINK = "demo:streams/sink"
MEGABYTE = 1_000_000


class Sink:
    """The interface `demo:streams/sink`."""

    def __init__(self) -> None:
        self.watched: list[object] = []
        self.watching: asyncio.Task[None] | None = None
        self.stream: GuestStream[object] | None = None

    async def upload(self, name: str, content: GuestStream[bytes]) -> int:
        return sum([len(chunk) async for chunk in content]) + len(name)

    async def download(self, name: str) -> dict[str, object]:
        size = asyncio.get_running_loop().create_future()

        async def content():
            for _ in range(5):
                await asyncio.sleep(0)
                yield b"\x01" * 700
            size.set_result(5 * 700)

        return {"name": name, "content": content(), "size": size}

    def watch(self, readings: GuestStream[object]) -> None:
        async def watch() -> None:
            self.watched.extend([reading async for reading in readings])

        self.stream = readings
        self.watching = asyncio.ensure_future(watch())

    async def answer(self, question: str):
        async def later() -> str:
            await asyncio.sleep(0)
            return question.upper()

        return later()


@pytest.fixture(scope="module")
def component() -> Component:
    return Engine().load(GUEST)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def instance(component: Component, sink: Sink) -> Instance:
    return component.instantiate(imports={SINK: sink})


def limited(component: Component, **limits) -> Instance:
    return component.instantiate(imports={SINK: Sink()}, limits=Limits(**limits))


async def collect(stream):
    return [item async for item in stream]


async def until(holds) -> None:
    """Let the loop run until `holds()`."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  the guest has no event to tell it by
            await asyncio.sleep(0)


def pattern(count: int) -> bytes:
    return (bytes(range(251)) * (count // 251 + 1))[:count]


# What guests give


async def test_a_stream_of_bytes_gives_the_chunks_that_the_guest_wrote(instance):
    stream = await instance["bytes"].call_async(2500, 1000)
    assert isinstance(stream, GuestStream)
    assert repr(stream) == "<GuestStream stream<u8>>"
    chunks = await collect(stream)
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 500]
    assert b"".join(chunks) == pattern(1000) + pattern(2000)[1000:] + pattern(2500)[2000:]
    assert all(type(chunk) is bytes for chunk in chunks)


async def test_ten_megabytes_pass_without_the_instance_or_the_buffer_growing(instance):
    stream = await instance["bytes"].call_async(10 * MEGABYTE, 4 * MEGABYTE)
    before = instance.usage()["memory"]
    total, largest = 0, 0
    async for chunk in stream:
        total += len(chunk)
        largest = max(largest, len(chunk))
    assert total == 10 * MEGABYTE
    assert largest == 1 << 20  # a write of 4 MB is taken in pieces
    assert instance.usage()["memory_peak"] <= before + 9 * MEGABYTE  # the guest's own two pieces


async def test_a_guests_write_waits_until_it_is_read(instance):
    stream = await instance["endless"].call_async()
    assert await instance["written"].call_async() == (0, 0)
    assert [await anext(stream) for _ in range(3)] == [0, 1, 2]
    written, _ = await instance["written"].call_async()
    assert written <= 3


async def test_records_variants_strings_and_nothing_are_items(instance, component):
    reading = component.types["demo:streams/readings#reading"]
    event = component.types["demo:streams/readings#event"]
    assert await collect(await instance["measure"].call_async(3)) == [
        reading("even", 0.0, []),
        reading("odd", 0.5, ["tag 0"]),
        reading("even", 1.0, ["tag 0", "tag 1"]),
    ]
    assert await collect(await instance["events"].call_async()) == [
        event.Started(),
        event.Took(reading("odd", 1.5, ["tag 0", "tag 1", "tag 2"])),
        event.Failed("no power"),
    ]
    assert await collect(await instance["words"].call_async("a bc  d")) == ["a", "bc", "d"]
    assert await collect(await instance["beats"].call_async(600)) == [None] * 600


async def test_more_items_than_are_taken_at_once_arrive_in_order(instance, component):
    readings = await collect(await instance["measure"].call_async(1000))
    assert [reading.celsius for reading in readings] == [number / 2 for number in range(1000)]


async def test_a_stream_of_streams(instance):
    rows = [await collect(row) async for row in await instance["triangle"].call_async(4)]
    assert rows == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


async def test_streams_and_futures_inside_results_records_and_options(instance):
    file = await instance["open"].call_async("notes", 2500)
    assert (file.name, isinstance(file.size, GuestFuture)) == ("notes", True)
    assert b"".join(await collect(file.content)) == b"".join(
        pattern(2500)[at : at + 1000] for at in (0, 1000, 2000)
    )
    assert await file.size == 2500
    with pytest.raises(GuestError, match="a file needs a name"):
        await instance["open"].call_async("", 1)
    assert await instance["maybe"].call_async(some=False) is None
    assert await (await instance["maybe"].call_async(some=True)) == "here it is"


async def test_a_future_can_be_awaited_again(instance):
    future = await instance["maybe"].call_async(some=True)
    assert repr(future) == "<GuestFuture future<string>>"
    assert [await future, await future] == ["here it is"] * 2


def test_streams_and_futures_without_an_event_loop(instance):
    assert b"".join(instance["bytes"](2500, 1000)) == b"".join(
        pattern(2500)[at : at + 1000] for at in (0, 1000, 2000)
    )
    assert [list(row) for row in instance["triangle"](3)] == [[0], [0, 1], [0, 1, 2]]
    assert instance["maybe"](some=True).result() == "here it is"
    with instance["endless"]() as numbers:
        assert [next(numbers), next(numbers)] == [0, 1]
    assert next(numbers, "closed") == "closed"
    assert instance["written"]()[1] == 1


async def test_calls_go_on_between_reads(instance):
    one, other = await instance["endless"].call_async(), await instance["words"].call_async("x y")
    assert [await anext(one), await anext(other)] == [0, "x"]
    assert await instance["join"].call_async(["in", "between"]) == "in between"
    assert [await anext(one), await anext(other)] == [1, "y"]


async def test_several_tasks_read_streams_of_one_instance(instance):
    streams = [await instance["bytes"].call_async(20_000, 1000) for _ in range(8)]
    totals = await asyncio.gather(*(collect(stream) for stream in streams))
    assert [sum(map(len, chunks)) for chunks in totals] == [20_000] * 8


async def test_a_stream_outlives_the_names_of_its_instance(component):
    stream = await component.instantiate(imports={SINK: Sink()})["words"].call_async("a b")
    gc.collect()
    assert await collect(stream) == ["a", "b"]


# Ends


async def test_closing_early_ends_the_guests_writes(instance):
    async with await instance["endless"].call_async() as stream:
        assert await anext(stream) == 0
    assert await collect(stream) == []
    assert (await instance["written"].call_async())[1] == 1
    await stream.aclose()


async def test_closing_before_the_first_read_ends_the_guests_writes(instance):
    stream = await instance["endless"].call_async()
    await stream.aclose()
    assert await instance["written"].call_async() == (0, 1)


async def test_dropping_the_iterator_ends_the_guests_writes(instance):
    read, unread = await instance["endless"].call_async(), await instance["endless"].call_async()
    assert await anext(read) == 0
    del read, unread
    gc.collect()
    # The guest learns of it as the instance runs on.
    assert await collect(await instance["words"].call_async("a b c")) == ["a", "b", "c"]
    assert (await instance["written"].call_async())[1] == 2


async def test_a_closed_future_has_no_value(instance):
    future = await instance["nothing-yet"].call_async()
    await future.aclose()
    with pytest.raises(asyncio.InvalidStateError, match="future<string> was closed"):
        await future


async def test_a_trap_comes_after_what_was_written_and_poisons_the_instance(instance):
    stream = await instance["trap-at"].call_async(2)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    with pytest.raises(Trap, match="read of stream<u32>"):
        await anext(stream)
    with pytest.raises(InstancePoisoned, match="unreachable"):
        await anext(stream)
    with pytest.raises(InstancePoisoned):
        await instance["written"].call_async()
    await stream.aclose()


def test_a_trap_while_blocking(instance):
    stream = instance["trap-at"](2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(Trap):
        next(stream)


async def test_a_closed_instance_does_not_look_like_the_end(instance):
    stream = await instance["measure"].call_async(1000)
    await anext(stream)
    instance.close()
    with pytest.raises(InstancePoisoned, match="it was closed"):
        await collect(stream)


async def test_a_stream_that_ended_ends_after_its_instance_too(instance):
    stream = await instance["words"].call_async("a")
    assert await collect(stream) == ["a"]
    instance.close()
    assert await collect(stream) == []


async def test_a_guest_that_writes_nothing_reaches_the_call_timeout(component):
    instance = limited(component, call_timeout=0.1)
    stream = await instance["stall"].call_async(1)
    assert await anext(stream) == 0
    with pytest.raises(LimitExceeded, match="call_timeout"):
        await anext(stream)


async def test_a_guest_that_computes_without_end_reaches_its_cpu_limit(component):
    instance = limited(component, cpu_per_call=0.05)
    stream = await instance["spin"].call_async()
    assert await anext(stream) == 0
    with pytest.raises(LimitExceeded, match="cpu_per_call"):
        await anext(stream)


async def test_host_call_bytes_bound_each_item_not_the_whole_write(component):
    instance = limited(component, host_call_bytes="64KiB")
    words = await collect(await instance["long-words"].call_async(100, 10_000))
    assert [len(word) for word in words] == [10_000] * 100
    assert {len(chunk) async for chunk in await instance["bytes"].call_async(200_000, 100_000)} <= {
        65_536,
        34_464,
    }
    with pytest.raises(LimitExceeded, match="host_call_bytes"):
        await collect(await instance["long-words"].call_async(1, 70_000))


async def test_streams_that_ended_leave_no_handles_behind(component):
    instance = limited(component, open_handles=8)
    for _ in range(50):
        assert await collect(await instance["words"].call_async("a b")) == ["a", "b"]
        assert await instance["join"].call_async(["a", "b"]) == "a b"
        await (await instance["endless"].call_async()).aclose()


# Cancelling


async def test_a_cancelled_read_loses_nothing_and_keeps_the_instance(instance):
    stream = await instance["stall"].call_async(1)
    assert await anext(stream) == 0
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await instance["written"].call_async() == (0, 0)
    await stream.aclose()


async def test_a_read_that_timed_out_can_be_tried_again(instance, sink):
    async def source():
        yield b"one"
        await ready.wait()
        yield b"two"

    ready = asyncio.Event()
    stream = await instance["back"].call_async(source())
    assert await anext(stream) == b"one"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)
    ready.set()
    assert await collect(stream) == [b"two"]


async def test_a_second_cancellation_ends_a_guest_that_computes(component):
    instance = limited(component, cpu_per_call=30.0)
    stream = await instance["spin"].call_async()
    assert await anext(stream) == 0
    reading = asyncio.ensure_future(anext(stream))
    await until(lambda: "running" in repr(instance))
    reading.cancel()
    await asyncio.sleep(0)
    assert not reading.done()  # the guest does not wait
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    with pytest.raises(InstancePoisoned, match="cancelled"):
        instance["written"]()


def test_a_stream_goes_on_in_another_event_loop(instance):
    async def begin():
        stream = await instance["endless"].call_async()
        return stream, await anext(stream)

    async def go_on(stream):
        return await anext(stream)

    stream, first = asyncio.run(begin())
    assert (first, asyncio.run(go_on(stream))) == (0, 1)


def test_a_source_of_a_closed_loop_ends_the_read_with_its_reason(instance):
    async def begin():
        async def source():
            yield b"one"
            await asyncio.Event().wait()

        stream = await instance["back"].call_async(source())
        return stream, await anext(stream)

    async def go_on(stream):
        return await anext(stream)

    stream, first = asyncio.run(begin())
    assert first == b"one"
    with pytest.raises(Trap, match=r"cancelled|event loop") as raised:
        asyncio.run(go_on(stream))
    assert isinstance(raised.value.__cause__, RuntimeError)


async def test_a_blocking_read_in_another_thread_meets_the_busy_instance(instance):
    stream = await instance["stall"].call_async(0)
    reading = asyncio.ensure_future(anext(stream))
    await until(lambda: "running" in repr(instance))
    with pytest.raises(InstanceBusy):
        next(stream)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


# What Python gives


@pytest.mark.parametrize(
    "data",
    [
        lambda: b"\x01" * 3000,
        lambda: bytearray(b"\x01" * 3000),
        lambda: memoryview(b"\x01" * 6000)[::2],
        lambda: [b"\x01" * 1000, b"", bytearray(b"\x01" * 2000)],
        lambda: (b"\x01" for _ in range(3000)),
    ],
    ids=["bytes", "bytearray", "strided", "list", "generator"],
)
@pytest.mark.parametrize("piece", [1, 4096])
async def test_bytes_are_given_as_buffers_and_iterables(instance, data, piece):
    assert await instance["sum-bytes"].call_async(data(), piece) == (3000, 3000)


async def test_ten_megabytes_into_a_guest(instance):
    before = instance.usage()["memory"]
    total, count = await instance["sum-bytes"].call_async(b"\x02" * (10 * MEGABYTE), 65536)
    assert (total, count) == (20 * MEGABYTE, 10 * MEGABYTE)
    assert instance.usage()["memory_peak"] <= before + MEGABYTE


async def test_async_iterables_and_awaitables_are_read(instance, component):
    async def readings():
        for reading in await collect(await other["measure"].call_async(6)):
            await asyncio.sleep(0)
            yield reading

    other = component.instantiate(imports={SINK: Sink()})
    odd = await collect(await instance["filter"].call_async(readings(), "odd"))
    assert [reading.celsius for reading in odd] == [0.5, 1.5, 2.5]

    async def number() -> int:
        await asyncio.sleep(0)
        return 21

    assert await (await instance["twice"].call_async(number())) == 42
    future = asyncio.get_running_loop().create_future()
    doubled = await instance["twice"].call_async(future)
    future.set_result(4)
    assert await doubled == 8
    assert await instance["count-beats"].call_async([None] * 3) == 3


async def test_records_with_streams_and_futures_are_given(instance):
    async def size() -> int:
        return 5

    file = {"name": "notes", "content": [b"abc", b"de"], "size": size()}
    assert await instance["size-of"].call_async(file) == 5


async def test_a_source_is_read_only_as_far_as_the_guest_reads(instance):
    taken = []

    def numbers():
        for number in range(1000):
            taken.append(number)
            yield bytes([number % 251])

    stream = await instance["back"].call_async(numbers())
    assert taken == []
    assert [await anext(stream) for _ in range(3)] == [b"\x00", b"\x01", b"\x02"]
    assert len(taken) <= 4


async def test_a_source_may_wait_for_what_the_guest_writes(instance):
    """An echo: each question is asked after the answer to the one before."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def questions():
        yield b"1"
        for _ in range(5):
            yield await answers.get() + b"1"

    seen = []
    async for answer in await instance["back"].call_async(questions()):
        seen.append(answer)
        answers.put_nowait(answer)
    assert seen == [b"1" * count for count in range(1, 7)]


async def test_one_task_runs_all_of_an_async_generator(instance):
    tasks = set()

    async def source():
        async with asyncio.timeout(10):  # would notice if it were left in another task
            for _ in range(3):
                tasks.add(asyncio.current_task())
                await asyncio.sleep(0)
                yield b"x"

    assert await instance["sum-bytes"].call_async(source(), 1) == (3 * ord("x"), 3)
    assert len(tasks) == 1


async def test_a_source_is_closed_once_the_guest_lets_it_go(instance):
    closed = asyncio.Event()

    async def source():
        try:
            while True:
                yield {"sensor": "x", "celsius": 1.0, "tags": []}
        finally:
            closed.set()

    stream = await instance["filter"].call_async(source(), "x")
    assert (await anext(stream)).celsius == 1.0
    await stream.aclose()
    while not closed.is_set():  # it learns that nobody reads when it writes next
        assert await collect(await instance["words"].call_async("a b")) == ["a", "b"]


async def test_closing_the_instance_closes_the_sources_that_it_reads(instance):
    closed = asyncio.Event()

    async def source():
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    stream = await instance["back"].call_async(source())
    assert await anext(stream) == b"x"
    instance.close()
    async with asyncio.timeout(5):
        await closed.wait()


async def test_dropping_the_instance_closes_the_sources_that_it_reads(component):
    closed = asyncio.Event()

    async def source():
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    stream = await component.instantiate(imports={SINK: Sink()})["back"].call_async(source())
    assert await anext(stream) == b"x"
    del stream
    gc.collect()
    async with asyncio.timeout(5):
        await closed.wait()


async def test_sources_are_let_go(instance):
    class Source(list):
        pass

    source = Source([b"a", b"b"])
    gone = weakref.ref(source)
    stream = await instance["back"].call_async(source)
    del source, stream
    gc.collect()
    assert gone() is not None  # the guest learns of it as the instance runs on
    assert await instance["written"].call_async() == (0, 0)
    gc.collect()
    assert gone() is None


async def test_an_exception_of_a_source_ends_the_call_and_says_where(instance):
    async def source():
        yield b"x"
        raise ConnectionError("the line went dead")

    with pytest.raises(Trap, match="stream or future of the host raised ConnectionError") as raised:
        await instance["sum-bytes"].call_async(source(), 10)
    cause = raised.value.__cause__
    assert isinstance(cause, ConnectionError)
    assert cause.__notes__ == ["in the stream that is argument 'data'"]
    with pytest.raises(InstancePoisoned):
        instance["written"]()


async def test_an_exception_of_an_awaitable_ends_the_read_of_the_result(instance):
    async def number():
        raise ConnectionError("no answer")

    doubled = await instance["twice"].call_async(number())
    with pytest.raises(Trap) as raised:
        await doubled
    assert isinstance(raised.value.__cause__, ConnectionError)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("join", ["a", 5]), r"argument 'words'\[1\]: expected string, got 5"),
        (("sum-bytes", [b"a", b"b", "c"], 1), r"argument 'data'\[2\]: expected a chunk of bytes"),
        (("filter", [{"sensor": "x"}], "x"), r"argument 'readings'\[0\].*celsius"),
        (("count-beats", [None, 1]), r"argument 'beats'\[1\]"),
    ],
)
async def test_a_wrong_item_is_named_by_its_position(instance, call, message):
    function, *arguments = call
    with pytest.raises(Trap) as raised:
        await collect(await instance[function].call_async(*arguments))
    with pytest.raises((TypeError, ValueError), match=message):
        raise raised.value.__cause__


def test_what_is_no_source_is_refused_before_the_call(instance):
    with pytest.raises(TypeError, match="argument 'data': expected stream<u8>, an async iterable"):
        instance["sum-bytes"](5, 1)
    with pytest.raises(TypeError, match=r"argument 'words': expected stream<string>.* got 'text'"):
        instance["join"]("text")
    with pytest.raises(TypeError, match="argument 'value': expected future<u32>, an awaitable"):
        instance["twice"](5)
    assert instance["join"](["still", "usable"]) == "still usable"


def test_blocking_calls_read_plain_iterables_and_refuse_async_ones(instance):
    async def words():
        yield "a"

    assert instance["join"](iter(["a", "b"])) == "a b"
    with pytest.raises(Trap) as raised:
        instance["join"](words())
    assert "call_async" in str(raised.value.__cause__)


# Between instances, and back


async def test_a_guests_stream_is_given_back_to_it(instance):
    unread = await instance["bytes"].call_async(3000, 1000)
    assert b"".join(await collect(await instance["back"].call_async(unread))) == b"".join(
        pattern(3000)[at : at + 1000] for at in (0, 1000, 2000)
    )
    assert await collect(unread) == []
    begun = await instance["bytes"].call_async(3000, 1000)
    assert len(await anext(begun)) == 1000
    assert len(b"".join(await collect(await instance["back"].call_async(begun)))) == 2000


async def test_a_stream_flows_from_one_instance_into_another(component, instance):
    other = component.instantiate(imports={SINK: Sink()})
    stream = await other["bytes"].call_async(5000, 1000)
    _, count = await instance["sum-bytes"].call_async(stream, 300)
    assert count == 5000


async def test_a_stream_of_python_comes_back_unchanged(instance):
    assert await collect(await instance["back"].call_async([b"a", b"bc"])) == [b"a", b"bc"]


# Host functions


async def test_an_async_host_function_reads_what_the_guest_writes_meanwhile(instance):
    assert await instance["send"].call_async("name", 50_000) == 50_004


async def test_a_host_function_gives_streams_and_futures(instance):
    assert await instance["fetch"].call_async("name") == (3500, 3500)
    assert await instance["ask"].call_async("why?") == "WHY?"


async def test_a_host_function_keeps_a_stream_and_reads_it_after_it_returned(instance, sink):
    assert await instance["report"].call_async(300) == 300
    await sink.watching
    assert len(sink.watched) == 300


async def test_a_host_function_that_drops_its_stream_ends_the_guests_writes(component):
    class Uninterested(Sink):
        async def upload(self, name, content):
            return len(name)

    instance = component.instantiate(imports={SINK: Uninterested()})
    assert await instance["send"].call_async("name", 50_000) == 4


async def test_a_host_function_that_fails_over_a_stream(component):
    class Failing(Sink):
        async def upload(self, name, content):
            await anext(content)
            raise OSError("disk full")

    instance = component.instantiate(imports={SINK: Failing()})
    with pytest.raises(Trap, match="host function raised OSError") as raised:
        await instance["send"].call_async("name", 50_000)
    assert "demo:streams/sink" in raised.value.__cause__.__notes__[0]


async def test_a_cancelled_call_cancels_the_host_function_that_reads_for_it(component):
    ended = asyncio.Event()
    began = asyncio.Event()

    class Waiting(Sink):
        async def upload(self, name, content):
            try:
                began.set()
                await asyncio.Event().wait()
            finally:
                ended.set()

    instance = component.instantiate(imports={SINK: Waiting()})
    call = asyncio.ensure_future(_of(instance["send"].call_async("name", 10)))
    await began.wait()
    call.cancel()
    async with asyncio.timeout(5):
        await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await call


async def _of(awaitable):
    return await awaitable


async def test_a_host_function_ends_with_the_calls_time(component):
    ended = asyncio.Event()

    class Waiting(Sink):
        async def upload(self, name, content):
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    instance = component.instantiate(imports={SINK: Waiting()}, limits=Limits(call_timeout=0.1))
    with pytest.raises(LimitExceeded, match="call_timeout"):
        await instance["send"].call_async("name", 10)
    async with asyncio.timeout(5):
        await ended.wait()


def test_a_deployment_refuses_streams_and_futures(tmp_path):
    with Host.open_blocking(tmp_path / "state", provides={SINK: Sink()}) as host:
        streams = host.deploy(GUEST, name="test/streams")
        for function, arguments in (("words", ("a b",)), ("join", (["a"],)), ("maybe", (True,))):
            with pytest.raises(
                TypeError, match=rf"'{function}' .*handles a (stream|future)<string>"
            ):
                streams.call(function, *arguments)
        assert streams.call("written") == (0, 0)


def test_streams_have_no_text(component):
    with pytest.raises(ValueError, match=r"argument 'words' is a stream<string>, which has none"):
        component.parse_call('join(["a"])')
    assert component.parse_call('words("a b")') == ("words", ("a b",))
    with pytest.raises(ValueError, match="a stream<string> has no text"):
        component.print_result("words", ["a"])


def test_signatures_types_and_wit_show_streams(component):
    assert component.signature("open") == "open(name: string, size: u32) -> result<file, string>"
    assert component.signature("triangle") == "triangle(rows: u32) -> stream<stream<u32>>"
    assert "export bytes: async func(count: u64, piece: u32) -> stream<u8>;" in component.wit()
    assert component.types["demo:streams/readings#event"].Started() is not None
    assert component.profile == "concurrent"


def test_threads_share_an_instance_with_streams(component):
    """Whoever finds it busy tries again: nothing is lost or given twice."""
    instance = component.instantiate(imports={SINK: Sink()})
    stream, seen = instance["endless"](), []

    def read() -> None:
        while len(seen) < 200:
            with contextlib.suppress(InstanceBusy):
                seen.append(next(stream))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(len(seen)))
