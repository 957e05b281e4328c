"""Storage from Python, awaited and blocking."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading

import pytest

from airssys.wasm import (
    BlockingStorage,
    Check,
    Delete,
    Host,
    HostClosed,
    InvalidSetting,
    InvalidStorageRequest,
    Limits,
    Put,
    Storage,
    StorageChange,
    StorageGap,
    StorageQuota,
    StorageQuotaExceeded,
    StorageSettings,
    UnknownDeployment,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def namespace():
    async with Storage.in_memory() as storage:
        yield storage.namespace("acme/store")


async def test_host_and_guest_see_the_same(state, key_value):
    async with Host.open(state) as host:
        store = await host.deploy(key_value, grant="requested", name="acme/store")
        await store.storage.set("a", b"1")
        assert await store.api.get("a") == b"1"
        await store.api.set("b", b"2", None)
        assert await store.storage.get("b") == b"2"
        assert [entry.key async for entry in store.storage.scan()] == ["a", "b"]
        assert await host.storage.namespaces() == ("acme/store",)
        assert await host.storage.namespace("acme/store").get("a") == b"1"
        with pytest.raises(UnknownDeployment, match="did you mean acme/store"):
            host.storage.namespace("acme/stoer")


async def test_all_that_there_is_awaited(namespace):
    version = await namespace.set("a", b"1")
    entry = await namespace.entry("a")
    assert (entry.key, entry.value, entry.version, entry.expires) == ("a", b"1", version, None)
    assert await namespace.get("b") is None
    assert await namespace.compare_and_set("a", version + 1, b"2") is None
    newer = await namespace.compare_and_set("a", version, b"2")
    assert newer == version + 1
    assert await namespace.compare_and_set("b", None, b"3", time_to_live=60) == newer + 1
    expires = (await namespace.entry("b")).expires
    assert dt.timedelta(seconds=50) < expires - dt.datetime.now(dt.UTC) <= dt.timedelta(seconds=60)
    assert await namespace.batch([Check("c", None), Put("c", b"4"), Delete("b")]) == newer + 2
    assert await namespace.batch([Put("d", b"5"), Check("c", None)]) is None
    assert [key async for key in namespace.keys("")] == ["a", "c"]
    assert await namespace.add("n", 5) == 5
    assert await namespace.add("n", -7) == -2
    assert await namespace.delete("a")
    assert not await namespace.delete("a")
    usage = await namespace.usage()
    assert (usage.keys, usage.bytes) == (2, 5)
    assert usage.quota == StorageQuota(bytes=50 << 20, keys=100_000, key=256, value=1_000_000)
    await namespace.clear()
    assert (await namespace.usage()).keys == 0


async def test_many_entries_come_in_pages(namespace):
    for begin in range(0, 2500, 500):
        await namespace.batch([Put(f"k{n:05}", b"v") for n in range(begin, begin + 500)])
    assert [key async for key in namespace.keys("k")] == [f"k{n:05}" for n in range(2500)]
    found = [entry.key async for entry in namespace.scan("k01")]
    assert found == [f"k{n:05}" for n in range(1000, 2000)]


async def test_concurrent_writes_are_all_there(state):
    async with await Storage.open(state.with_suffix(".redb")) as storage:
        namespace = storage.namespace("acme/store")
        sums = await asyncio.gather(*(namespace.add("n", 1) for _ in range(300)))
        assert sorted(sums) == list(range(1, 301))
        native = storage._blocking.holder.open()
        assert native.transactions < 200, "writes at the same time share transactions"


async def test_bad_requests_say_what_is_wrong(namespace):
    with pytest.raises(InvalidStorageRequest, match="empty segment"):
        await namespace.set("a//b", b"")
    with pytest.raises(InvalidSetting, match="time to live of 0"):
        await namespace.set("a", b"", time_to_live=0)
    with pytest.raises(TypeError, match="bytes, not str"):
        await namespace.set("a", "text")
    with pytest.raises(TypeError, match="Put, Delete or Check"):
        await namespace.batch([("a", b"1")])
    with pytest.raises(StorageQuotaExceeded, match="make several batches") as caught:
        await namespace.batch([Delete(f"k{n}") for n in range(1001)])
    assert (caught.value.limit, caught.value.configured, caught.value.needed) == (
        "batch_operations",
        1000,
        1001,
    )
    await namespace.set("a", b"text")
    with pytest.raises(InvalidStorageRequest, match="'a' is no integer"):
        await namespace.add("a", 1)
    with pytest.raises(InvalidSetting, match="relaxed"):
        StorageSettings(relaxed=0)


async def test_the_operator_is_held_to_the_limits_of_the_deployment(state, key_value):
    async with Host.open(state) as host:
        store = await host.deploy(
            key_value, grant="requested", name="acme/store", limits=Limits(storage_keys=1)
        )
        namespace = store.storage
        await namespace.set("a", b"")
        with pytest.raises(StorageQuotaExceeded, match=r"Limits\(storage_keys=...\)"):
            await namespace.set("b", b"")
        await store.deploy(key_value, limits=Limits(storage_keys=2))
        await namespace.set("b", b"")


async def test_a_watch_tells_changes_and_gaps_and_loses_nothing_to_a_cancel(namespace):
    watch = await namespace.watch("k/", capacity=2)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await namespace.set("other", b"")
    version = await namespace.set("k/1", b"")
    assert await anext(watch) == StorageChange("k/1", "set", version)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    last = await namespace.batch([Put(f"k/{n}", b"") for n in range(5)])
    assert [await waiting, await anext(watch), await anext(watch)] == [
        StorageChange("k/0", "set", last),
        StorageChange("k/1", "set", last),
        StorageGap(3),
    ]
    await watch.aclose()


async def test_a_watch_waits_for_the_end_of_a_time_to_live(namespace):
    watch = await namespace.watch("k/")
    await namespace.set("other", b"", time_to_live=0.01)
    version = await namespace.set("k/1", b"v", time_to_live=0.01)
    assert await anext(watch) == StorageChange("k/1", "set", version)
    # Nobody touches the key: the sweep finds it, and wakes whoever waits.
    expired = await anext(watch)
    assert (expired.key, expired.change) == ("k/1", "expired")
    assert expired.version > version
    assert await namespace.get("k/1") is None
    await watch.aclose()


async def test_a_watch_ends_with_its_storage():
    storage = Storage.in_memory()
    namespace = storage.namespace("acme/store")
    watch = await namespace.watch()
    await namespace.set("a", b"")
    closing = asyncio.ensure_future(storage.close())
    assert [event.key async for event in watch] == ["a"]
    await closing
    with pytest.raises(HostClosed):
        await namespace.get("a")


async def test_lines_of_json_carry_everything_there_and_back(namespace, tmp_path):
    entries = {"text": b"gr\xc3\xbc\xc3\x9fe", "bytes": b"\xff\x00", "empty": b"", "a/b": b'"\n'}
    for key, value in entries.items():
        await namespace.set(key, value)
    await namespace.set("brief", b"1", time_to_live=60)
    file = tmp_path / "out.jsonl"
    assert await namespace.export_jsonl(file) == 5
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {"key": "text", "value": "grüße"} in lines
    assert {"key": "bytes", "base64": "/wA="} in lines
    expires = (await namespace.entry("brief")).expires
    async with Storage.in_memory() as other:
        target = other.namespace("acme/other")
        assert await target.import_jsonl(file) == 5
        assert {entry.key: entry.value async for entry in target.scan()} == entries | {
            "brief": b"1"
        }
        again = (await target.entry("brief")).expires
        assert abs(again - expires) < dt.timedelta(seconds=1)
        past = '{"key": "gone", "value": "", "expires": "2001-01-01T00:00:00Z"}\n'
        file.write_text(past + '{"key": "new", "value": ""}\n\n')
        assert await target.import_jsonl(file) == 1
        assert await target.get("gone") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "line 2: "),
        ('{"key": "a"}', "line 2: needs one of value and base64"),
        ('{"key": "a", "value": "", "base64": ""}', "line 2: needs one of"),
        ('{"key": "a", "base64": "?"}', "line 2: "),
        ('{"key": "a", "value": "", "more": 1}', "line 2: .*more"),
        ('{"key": "a", "value": "", "expires": "2001-01-01T00:00:00"}', "needs a time zone"),
    ],
)
async def test_a_line_that_is_no_entry_is_named(namespace, tmp_path, line, expected):
    file = tmp_path / "in.jsonl"
    file.write_text('{"key": "first", "value": ""}\n' + line + "\n")
    with pytest.raises(InvalidStorageRequest, match=expected):
        await namespace.import_jsonl(file)


async def test_a_backup_is_taken_while_the_storage_is_used(state, key_value, tmp_path):
    file = tmp_path / "backup.redb"
    async with Host.open(state, storage=StorageSettings(relaxed=0.05)) as host:
        store = await host.deploy(key_value, grant="requested", name="acme/store")
        await store.storage.batch([Put(f"k{n}", b"v") for n in range(500)])
        writing = asyncio.gather(*(store.storage.set(f"later{n}", b"") for n in range(50)))
        copy = await host.storage.backup(file)
        await writing
        assert 500 <= copy.entries <= 550
        with pytest.raises(InvalidStorageRequest, match="a backup is a new file"):
            await host.storage.backup(file)
    with BlockingStorage.open(file) as storage:
        found = list(storage.namespace("acme/store").keys("k"))
        assert len(found) == 500
        with BlockingStorage.in_memory() as memory:
            assert storage.copy_to(memory) == copy
            assert memory.namespace("acme/store").get("k7") == b"v"
            with pytest.raises(InvalidStorageRequest, match="is not empty"):
                storage.copy_to(memory)


def test_threads_share_a_blocking_namespace(deployed):
    namespace = deployed.storage

    def work():
        for _ in range(10):
            namespace.add("n", 1)
            deployed.api.standard_increment("n", 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert namespace.get("n") == b"80"
