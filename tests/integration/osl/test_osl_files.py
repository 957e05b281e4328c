"""Files and directories: every operation, allowed and refused."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from osl_world import ALL, rule

from airssys import osl
from airssys.osl import AccessDenied, LimitExceeded, Principal, ReadFile


def test_parts_of_a_file_can_be_read(world, act):
    (world.root / "a").write_bytes(b"0123456789")
    system = world.allowing("read")
    path = world.root / "a"

    async def read():
        assert await osl.read_file(path, offset=3) == b"3456789"
        assert await osl.read_file(path, offset=3, length=4) == b"3456"
        assert await osl.read_file(path, offset=3, length=100) == b"3456789"
        assert await osl.read_file(path, offset=100) == b""
        assert await osl.read_file(str(path).encode()) == b"0123456789"
        with pytest.raises(LimitExceeded, match="limit of 9 bytes"):
            await osl.read_file(path, limit=9)

    act(system, read)


@pytest.mark.parametrize("size", [0, 1, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_files_of_every_size_are_read_whole(world, act, size):
    data = os.urandom(size)
    (world.root / "a").write_bytes(data)
    system = world.allowing("read")
    assert act(system, lambda: osl.read_file(world.root / "a")) == data


class Counting(ThreadPoolExecutor):
    """The threads of an event loop, which say how often they were asked for."""

    submitted = 0

    def submit(self, *args, **kwargs):
        self.submitted += 1
        return super().submit(*args, **kwargs)


def in_page_cache(path):
    """Ask the kernel which pages of a file it has in memory."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
        view = ctypes.c_char.from_buffer(mapped)
        pages = (len(mapped) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        found = ctypes.create_string_buffer(pages)
        libc = ctypes.CDLL(None, use_errno=True)
        address = ctypes.c_void_p(ctypes.addressof(view))
        assert libc.mincore(address, ctypes.c_size_t(len(mapped)), found) == 0
        del view
        return [page & 1 for page in found.raw]


def evict(path):
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_what_is_not_in_the_page_cache_is_read_whole_in_a_thread(world):
    data = os.urandom(1 << 20)

    async def read(path, system):
        threads = Counting(2)
        asyncio.get_running_loop().set_default_executor(threads)
        with system.acting_as(Principal("alice")):
            assert await osl.read_file(path) == data
            assert threads.submitted == 0
            evict(path)
            if all(in_page_cache(path)):
                pytest.skip("this file system keeps its files in memory")
            assert await osl.read_file(path) == data
            assert threads.submitted == 1
            assert await osl.read_file(path) == data
            assert threads.submitted == 1

    # Files of a file system in memory never leave it.
    with TemporaryDirectory(dir="/var/tmp") as on_disk:
        path = Path(on_disk) / "a"
        path.write_bytes(data)
        asyncio.run(read(path, world.system(rule(ALL, target=f"{on_disk}/**"))))


def test_a_result_says_when_and_how_long(world, act):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read")
    result = act(system, lambda: system.run(ReadFile(world.root / "a")))
    assert result.output == b"x"
    assert result.exit_code is None
    assert 0 < result.duration < 10
    assert result.finished == result.started + result.duration


def test_each_mode_of_writing_does_what_it_says(world, act):
    system = world.allowing(*ALL)
    path = world.root / "a"

    async def write():
        assert await osl.write_file(path, b"first", mode="create") == 5
        with pytest.raises(FileExistsError):
            await osl.write_file(path, b"again", mode="create")
        await osl.write_file(path, b"two")
        assert path.read_bytes() == b"two"
        await osl.write_file(path, b"+three", mode="append")
        assert path.read_bytes() == b"two+three"
        inode = path.stat().st_ino
        await osl.write_file(path, b"four", mode="replace")
        assert path.read_bytes() == b"four"
        assert path.stat().st_ino != inode
        await osl.write_file(world.root / "new", bytearray(b"x"), mode_bits=0o600)
        assert stat.S_IMODE((world.root / "new").stat().st_mode) == 0o600

    act(system, write)
    assert sorted(os.listdir(world.root)) == ["a", "new"]


def test_making_a_file_needs_create_and_changing_one_needs_write(world, act):
    (world.root / "old").write_bytes(b"x")
    for accesses, new, old in [(("create",), True, False), (("write",), False, True)]:
        system = world.allowing(*accesses)

        async def write(new=new, old=old):
            for name, allowed in (("new", new), ("old", old)):
                try:
                    mode = "create" if name == "new" else "overwrite"
                    await osl.write_file(world.root / name, b"y", mode=mode)
                    assert allowed, name
                except AccessDenied:
                    assert not allowed, name

        act(system, write)
        (world.root / "new").unlink(missing_ok=True)
        world.close()


def test_copy_move_delete(world, act):
    (world.root / "a").write_bytes(b"x" * 100_000)
    (world.root / "a").chmod(0o640)
    (world.root / "taken").write_bytes(b"")
    system = world.allowing(*ALL)

    async def arrange():
        assert await osl.copy_file(world.root / "a", world.root / "b") == 100_000
        with pytest.raises(FileExistsError):
            await osl.copy_file(world.root / "a", world.root / "taken")
        with pytest.raises(FileExistsError):
            await osl.move_file(world.root / "a", world.root / "taken")
        await osl.copy_file(world.root / "a", world.root / "taken", replace=True)
        await osl.move_file(world.root / "a", world.root / "c")
        await osl.delete_file(world.root / "b")

    act(system, arrange)
    assert sorted(os.listdir(world.root)) == ["c", "taken"]
    assert stat.S_IMODE((world.root / "taken").stat().st_mode) == 0o640
    assert (world.root / "taken").read_bytes() == b"x" * 100_000


def test_each_half_of_copy_and_move_needs_its_right(world, act):
    for name in ("in", "out"):
        (world.root / name).mkdir()
    source = world.root / "in/a"
    source.write_bytes(b"x")
    for policy in (
        rule(["read", "delete"], target="{root}/in/**"),
        rule(["create", "write"], target="{root}/out/**"),
    ):
        system = world.system(policy)
        for function in (osl.copy_file, osl.move_file):
            with pytest.raises(AccessDenied):
                act(system, lambda function=function: function(source, world.root / "out/a"))
        assert source.exists()
        assert not (world.root / "out/a").exists()
        world.close()


def test_moving_to_another_file_system_copies_and_deletes(world, act):
    here = os.stat(world.root).st_dev
    others = [path for path in ("/dev/shm", "/var/tmp") if os.stat(path).st_dev != here]
    if not others:
        pytest.skip("needs two file systems")
    with TemporaryDirectory(dir=others[0]) as elsewhere:
        (world.root / "a").write_bytes(b"x")
        system = world.system(rule(ALL) + rule(ALL, target=f"{elsewhere}/**"))
        act(system, lambda: osl.move_file(world.root / "a", f"{elsewhere}/b"))
        assert Path(f"{elsewhere}/b").read_bytes() == b"x"
        assert not (world.root / "a").exists()


def test_stat_tells_a_link_from_what_it_points_to(world, act):
    (world.root / "a").write_bytes(b"12345")
    (world.root / "link").symlink_to("a")
    system = world.allowing("metadata")

    async def look():
        through = await osl.stat_file(world.root / "link")
        assert (through.path, through.kind, through.size) == (str(world.root / "a"), "file", 5)
        itself = await osl.stat_file(world.root / "link", follow=False)
        assert itself.kind == "link"
        with pytest.raises(FileNotFoundError):
            await osl.stat_file(world.root / "missing")

    act(system, look)


def test_directories_are_made_listed_walked_and_removed(world, act):
    system = world.allowing(*ALL)

    async def arrange():
        await osl.make_directory(world.root / "a/b/c", parents=True)
        await osl.make_directory(world.root / "a/b/c", parents=True)
        with pytest.raises(FileExistsError):
            await osl.make_directory(world.root / "a")
        await osl.write_file(world.root / "a/b/file", b"x")
        os.symlink("/", world.root / "a/root")
        listed = await osl.list_directory(world.root / "a")
        assert [(entry.name, entry.kind) for entry in listed] == [
            ("b", "directory"),
            ("root", "link"),
        ]
        walked = [entry.path async for entry in await osl.walk_directory(world.root)]
        names = ["a", "a/b", "a/b/c", "a/b/file", "a/root"]
        assert walked == [str(world.root / name) for name in names]
        with pytest.raises(OSError, match="not empty"):
            await osl.remove_directory(world.root / "a")
        assert await osl.remove_directory(world.root / "a", recursive=True) == 5

    act(system, arrange)
    assert os.listdir(world.root) == []
    assert os.path.exists("/usr")


def test_a_walk_decides_on_each_directory(world, act):
    for name in ("open", "closed"):
        (world.root / name).mkdir()
        (world.root / name / "file").write_bytes(b"")
    system = world.system(rule(["list"]) + rule(["list"], target="{root}/closed/**", effect="deny"))

    async def walk():
        with pytest.raises(AccessDenied):
            [entry async for entry in await osl.walk_directory(world.root)]
        return [
            entry.name async for entry in await osl.walk_directory(world.root, skip_denied=True)
        ]

    assert act(system, walk) == ["closed", "open", "file"]
    assert ("filesystem.list", "{root}/closed", "deny") in world.decisions()


def test_removing_a_tree_stops_at_the_first_refusal(world, act):
    (world.root / "keep").mkdir()
    (world.root / "keep/this").write_bytes(b"")
    system = world.system(rule(ALL) + rule(["delete"], target="{root}/keep/this", effect="deny"))
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.remove_directory(world.root / "keep", recursive=True))
    assert (world.root / "keep/this").exists()


def test_names_in_any_encoding_are_names(world, act):
    name = os.fsencode(world.root) + b"/caf\xe9\xff"
    with open(name, "wb") as file:
        file.write(b"x")
    system = world.allowing(*ALL)

    async def use():
        assert await osl.read_file(name) == b"x"
        entry = (await osl.list_directory(world.root))[0]
        assert os.fsencode(entry.path) == name
        assert await osl.read_file(entry.path) == b"x"
        await osl.delete_file(entry.path)

    act(system, use)
    assert os.listdir(world.root) == []


def test_a_watch_tells_what_changes(world, act):
    system = world.allowing(*ALL)

    async def look():
        with await osl.watch(world.root) as changes:
            await osl.write_file(world.root / "a", b"x")
            await osl.move_file(world.root / "a", world.root / "b")
            await osl.delete_file(world.root / "b")
            seen = []
            async with asyncio.timeout(10):
                async for change in changes:
                    seen.append((os.path.basename(change.path), change.kind))
                    if change.kind == "deleted":
                        return seen

    seen = act(system, look)
    kinds = [kind for _, kind in seen]
    assert kinds[0] == "created"
    assert ("a", "moved_from") in seen
    assert ("b", "moved_to") in seen
    assert seen[-1] == ("b", "deleted")


def test_a_watch_needs_the_right_to_list_and_ends_with_it(world, act):
    system = world.allowing("metadata")
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.watch(world.root))
    world.close()
    system = world.allowing("list")

    async def look():
        with await osl.watch(world.root) as changes:
            waiting = asyncio.create_task(anext(changes))
            await asyncio.sleep(0)
            world.policy.write_text("")
            system.reload()
            async with asyncio.timeout(10):
                with pytest.raises(AccessDenied):
                    await waiting

    act(system, look)
