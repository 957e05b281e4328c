"""Storage when something is wrong: the file, the disk, the owner, the process."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess

import pytest

from airssys.wasm import (
    BlockingStorage,
    ForkedHostError,
    Host,
    HostClosed,
    StateDirectoryDamaged,
    StateDirectoryError,
    StateDirectoryInUse,
    StateDirectoryTooNew,
    StateWriteFailed,
)
from airssys.wasm.storage_errors import storage_error

FILL = """
    import json, sys
    from airssys.wasm import BlockingStorage, Put, StateWriteFailed
    storage = BlockingStorage.open(sys.argv[1])
    namespace = storage.namespace("acme/store")
    acknowledged = []
    try:
        for number in range(10_000):
            namespace.set(f"k{number}", bytes(50_000))
            acknowledged.append(number)
    except StateWriteFailed as error:
        print(json.dumps({"error": str(error), "acknowledged": len(acknowledged)}), flush=True)
    # What was acknowledged can be read, and changed into less, as long as the disk is full.
    assert [len(entry.value) for entry in namespace.scan()] == [50_000] * len(acknowledged)
    sys.stdin.readline()
    # With room again, it goes on by itself.
    namespace.set("after", b"1")
    assert namespace.get("after") == b"1"
    assert namespace.usage().keys == len(acknowledged) + 1
    storage.close()
    print("went on", flush=True)
"""


def test_a_full_disk_refuses_and_loses_nothing(tmp_path, python):
    """A quota of the file's size stands for the disk, in the process that writes."""
    file = tmp_path / "storage.redb"
    most = 4 << 20

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    process = python(FILL, file, preexec_fn=limited)
    line = process.stdout.readline()
    assert line, process.stderr.read()
    said = json.loads(line)
    assert str(file) in said["error"]
    assert "free some space and try again" in said["error"]
    assert said["acknowledged"] > 10
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    out, err = process.communicate("go on\n", timeout=30)
    assert out == "went on\n", err
    with BlockingStorage.open(file) as storage:
        keys = list(storage.namespace("acme/store").keys("k"))
        assert len(keys) == said["acknowledged"]


def test_a_full_device_refuses_and_loses_nothing(tmp_path, python):
    """The same on a device that is full, in a mount namespace of its own."""
    alone = ("unshare", "--user", "--map-root-user", "--mount")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this system allows no mount namespaces")
    script = """
        import os, subprocess, sys
        where = sys.argv[1]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", where], check=True)
        from airssys.wasm import BlockingStorage, StateWriteFailed
        storage = BlockingStorage.open(f"{where}/storage.redb")
        namespace = storage.namespace("acme/store")
        count = 0
        try:
            while True:
                namespace.set(f"k{count}", bytes(50_000))
                count += 1
        except StateWriteFailed as error:
            print(error, flush=True)
        assert len(list(namespace.keys())) == count > 10
        subprocess.run(["mount", "-o", "remount,size=60m", where], check=True)
        namespace.set("after", b"1")
        storage.close()
        storage = BlockingStorage.open(f"{where}/storage.redb")
        assert len(list(storage.namespace("acme/store").keys())) == count + 1
    """
    process = python(script, tmp_path, command=alone)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "No space left on device" in out


@pytest.mark.parametrize("content", [b"", b"no database at all", bytes(8192)])
def test_a_file_that_is_no_storage_is_refused_and_left_as_it_is(state, key_value, content):
    with Host.open_blocking(state) as host:
        host.deploy(key_value, grant="requested", name="acme/store").api.set("a", b"1", None)
    file = state / "kv" / "storage.redb"
    whole = file.read_bytes()
    file.write_bytes(content)
    with Host.open_blocking(state) as host:
        store = host.deployment("acme/store")
        assert str(file) in store.held
        with pytest.raises(StateDirectoryDamaged, match="restore it from a backup") as caught:
            store.storage.get("a")
        assert str(file) in str(caught.value)
    assert file.read_bytes() == content
    file.write_bytes(whole)
    with Host.open_blocking(state) as host:
        assert host.deployment("acme/store").api.get("a") == b"1"


def test_a_file_cut_short_is_refused_or_whole(tmp_path):
    file = tmp_path / "storage.redb"
    with BlockingStorage.open(file) as storage:
        namespace = storage.namespace("acme/store")
        for number in range(20):
            namespace.set(f"k{number:02}", bytes(1000))
    whole = file.read_bytes()
    refused = 0
    for length in range(0, len(whole), len(whole) // 12):
        file.write_bytes(whole[:length])
        with contextlib.ExitStack() as opened:
            try:
                storage = opened.enter_context(BlockingStorage.open(file))
                found = list(storage.namespace("acme/store").scan())
            except StateDirectoryDamaged as error:
                refused += str(file) in str(error)
            else:
                assert [entry.value for entry in found] == [bytes(1000)] * 20
    assert refused > 3


def test_a_file_has_one_owner(tmp_path, python):
    file = tmp_path / "storage.redb"
    with BlockingStorage.open(file) as storage:
        with pytest.raises(StateDirectoryInUse, match="close that host first"):
            BlockingStorage.open(file)
        other = python(
            """
            import sys
            from airssys.wasm import BlockingStorage, StateDirectoryInUse
            try:
                BlockingStorage.open(sys.argv[1])
            except StateDirectoryInUse as error:
                print(error)
            """,
            file,
        )
        out, err = other.communicate(timeout=30)
        assert str(file) in out, err
        # The refused second owner has not taken the first one's lock with it.
        with pytest.raises(StateDirectoryInUse):
            BlockingStorage.open(file)
        storage.namespace("acme/store").set("a", b"1")
    with BlockingStorage.open(file) as storage:
        assert storage.namespace("acme/store").get("a") == b"1"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_no_storage_and_keeps_nobody_out(tmp_path):
    file = tmp_path / "storage.redb"
    storage = BlockingStorage.open(file)
    namespace = storage.namespace("acme/store")
    namespace.set("a", b"1")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            namespace.get("a")
        except ForkedHostError:
            code = 0
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(code)
    try:
        os.read(ready[0], 1)
        storage.close()
        # The child still lives and holds a copy of every descriptor.
        with BlockingStorage.open(file) as again:
            assert again.namespace("acme/store").get("a") == b"1"
        os.write(go[1], b"x")
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise


def test_a_closed_host_takes_no_request(state, key_value):
    with Host.open_blocking(state) as host:
        store = host.deploy(key_value, grant="requested", name="acme/store")
        namespace = store.storage
        namespace.set("a", b"1")
    with pytest.raises(HostClosed):
        namespace.get("a")
    with pytest.raises(HostClosed):
        namespace.set("a", b"2")


def test_a_removal_that_was_interrupted_is_finished(state, key_value):
    """What a deployment stored does not become the next one's of that name."""
    with Host.open_blocking(state) as host:
        store = host.deploy(key_value, grant="requested", name="acme/store")
        store.api.set("a", b"1", None)
        # The removal is on record, and the process is killed before it deletes.
        host._core._state.registry.record_remove("acme/store", who="me", why="")
    with Host.open_blocking(state) as host:
        store = host.deploy(key_value, grant="requested", name="acme/store")
        assert store.api.get("a") is None


def test_interrupting_a_wait_leaves_the_storage_usable(tmp_path, python):
    process = python(
        """
        import sys
        from airssys.wasm import BlockingStorage
        with BlockingStorage.open(sys.argv[1]) as storage:
            namespace = storage.namespace("acme/store")
            try:
                print("waiting", flush=True)
                next(namespace.watch())
            except KeyboardInterrupt:
                namespace.set("a", b"1")
                print("interrupted", flush=True)
        """,
        tmp_path / "storage.redb",
    )
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out == "interrupted\n", err


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("too-new", StateDirectoryTooNew),
        ("full", StateWriteFailed),
        ("failed", StateWriteFailed),
        ("damaged", StateDirectoryDamaged),
        ("in-use", StateDirectoryInUse),
    ],
)
def test_what_fails_is_told_with_the_file_and_the_next_step(kind, expected):
    context = {"path": "/x/storage.redb", "reason": "why", "found": 2, "known": 1}
    error = storage_error(kind, "text", context)
    assert type(error) is expected
    assert isinstance(error, StateDirectoryError)
    assert "/x/storage.redb" in error.summary
    assert error.hint
