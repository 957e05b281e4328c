"""Ways in by path that others have failed on: each refused, and the refusal on record."""

from __future__ import annotations

import os
import unicodedata

import pytest
from osl_world import ALL, rule

from airssys import osl
from airssys.osl import AccessDenied


@pytest.fixture
def inside(world):
    """A directory that alice has all rights to, beside a secret that she has none to."""
    (world.root / "in").mkdir()
    (world.root / "in/a").write_bytes(b"mine")
    (world.root / "secret").write_bytes(b"secret")
    (world.root / "private").mkdir()
    (world.root / "private/key").write_bytes(b"secret")
    return world.root / "in"


@pytest.fixture
def system(world, inside):
    return world.system(rule(ALL, target="{root}/in/**"))


def refused(world, act, system, function):
    """Assert that it is refused, that the secret is untouched, and that there is a record."""
    record = world.refused(act, system, function)
    if (world.root / "secret").exists():
        assert (world.root / "secret").read_bytes() == b"secret"
    return record


def test_a_link_at_the_end(world, act, inside, system):
    (inside / "link").symlink_to(world.root / "secret")
    record = refused(world, act, system, lambda: osl.read_file(inside / "link"))
    assert record.target == str(world.root / "secret")
    refused(world, act, system, lambda: osl.write_file(inside / "link", b"x"))
    refused(world, act, system, lambda: osl.write_file(inside / "link", b"x", mode="append"))


def test_a_link_in_the_middle(world, act, inside, system):
    (inside / "link").symlink_to(world.root / "private")
    record = refused(world, act, system, lambda: osl.read_file(inside / "link/key"))
    assert record.target == str(world.root / "private/key")
    refused(world, act, system, lambda: osl.delete_file(inside / "link/key"))
    refused(world, act, system, lambda: osl.write_file(inside / "link/new", b"x"))
    refused(world, act, system, lambda: osl.list_directory(inside / "link"))
    assert os.listdir(world.root / "private") == ["key"]


def test_a_link_swapped_while_it_is_opened(world, act, inside, system):
    """Whatever the race gives is decided on as what it is: never the secret's content."""
    import asyncio
    import threading

    (inside / "to_mine").symlink_to(inside / "a")
    (inside / "to_secret").symlink_to(world.root / "secret")
    stop = threading.Event()

    def swap():
        number = 0
        while not stop.is_set():
            number += 1
            which = "to_secret" if number % 2 else "to_mine"
            os.symlink(os.readlink(inside / which), inside / "next")
            os.rename(inside / "next", inside / "swapped")

    (inside / "swapped").symlink_to(inside / "a")
    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = {"mine": 0, "denied": 0}

    async def read():
        for _ in range(20_000):
            try:
                assert await osl.read_file(inside / "swapped") == b"mine"
                outcomes["mine"] += 1
            except AccessDenied:
                outcomes["denied"] += 1
            if min(outcomes.values()) >= 100:
                return
            await asyncio.sleep(0)

    try:
        act(system, read)
    finally:
        stop.set()
        thread.join()
    assert min(outcomes.values()) >= 100, outcomes


def test_a_hard_link_to_a_file_outside(world, act, inside, system):
    os.link(world.root / "secret", inside / "hard")
    refused(world, act, system, lambda: osl.read_file(inside / "hard"))
    refused(world, act, system, lambda: osl.write_file(inside / "hard", b"x"))
    refused(world, act, system, lambda: osl.write_file(inside / "hard", b"x", mode="append"))


def test_renaming_across_the_boundary(world, act, inside, system):
    refused(world, act, system, lambda: osl.move_file(inside / "a", world.root / "b"))
    refused(world, act, system, lambda: osl.move_file(world.root / "secret", inside / "s"))
    refused(
        world, act, system, lambda: osl.move_file(inside / "a", world.root / "secret", replace=True)
    )
    refused(world, act, system, lambda: osl.move_file(world.root / "private", inside / "p"))
    assert (inside / "a").exists()
    assert (world.root / "private/key").exists()


@pytest.mark.parametrize(
    "path",
    [
        "in/../secret",
        "in//..//secret",
        "in/./../secret",
        "in/a/../../secret",
        "private/key/",
        "private/key/.",
        "private//key",
        "in/../in/../private/./key",
    ],
)
def test_spellings_of_a_path_outside(world, act, system, path):
    refused(world, act, system, lambda: osl.read_file(f"{world.root}/{path}"))


@pytest.mark.parametrize("path", ["/proc/self/root", "/proc/1/root", "/proc/self/cwd"])
def test_the_way_through_proc(world, act, system, path):
    refused(world, act, system, lambda: osl.read_file(f"{path}{world.root}/secret"))


def test_no_rule_opens_proc_sys_or_the_log(world, act):
    system = world.system(rule(ALL, target="/**"))
    key = str(world.log) + ".key"
    segment = next(str(path) for path in world.log.rglob("*") if path.is_file())
    for path in ("/proc/self/environ", "/proc/1/cmdline", "/sys/kernel/mm", segment, key):
        record = refused(world, act, system, lambda path=path: osl.read_file(path))
        assert record.rule == "reserved-object", path
    record = refused(world, act, system, lambda: osl.write_file(world.policy, b""))
    assert record.rule == "reserved-object"
    record = refused(world, act, system, lambda: osl.move_file(world.log, world.root / "log"))
    assert world.log.is_dir()


def test_descriptors_by_path(world, act, inside):
    descriptor = os.open(world.root / "secret", os.O_RDONLY)
    try:
        paths = (f"/dev/fd/{descriptor}", f"/proc/self/fd/{descriptor}")
        system = world.system(rule(ALL, target="{root}/in/**"))
        for path in paths:
            refused(world, act, system, lambda path=path: osl.read_file(path))
        world.close()
        # A rule cannot make them lead anywhere either: such links are not followed.
        system = world.system("".join(rule(ALL, target=t) for t in ("/dev/fd/**", "/proc/**")))
        for path in paths:
            refused(world, act, system, lambda path=path: osl.read_file(path))
    finally:
        os.close(descriptor)


def test_nul_and_endless_names(world, act, system, inside):
    refused(world, act, system, lambda: osl.read_file(f"{inside}/a\0b"))
    refused(world, act, system, lambda: osl.read_file(f"{inside}/{'x' * 256}"))
    refused(world, act, system, lambda: osl.read_file(f"{inside}/" + "x/" * 2100))
    refused(world, act, system, lambda: osl.read_file(""))


def test_twins_in_another_normal_form_or_case_are_other_files(world, act):
    composed = unicodedata.normalize("NFC", "caf\u00e9")
    decomposed = unicodedata.normalize("NFD", composed)
    for name in (composed, decomposed, "Readme", "README"):
        (world.root / name).write_bytes(name.encode())
    system = world.system(
        rule(["read"], target=f"{{root}}/{composed}") + rule(["read"], target="{root}/Readme")
    )
    for name in (composed, "Readme"):
        path = world.root / name
        assert act(system, lambda path=path: osl.read_file(path)) == name.encode()
    for name in (decomposed, "README"):
        refused(world, act, system, lambda name=name: osl.read_file(world.root / name))


def test_a_truncating_open_of_a_file_that_may_only_be_read(world, act, inside):
    system = world.system(rule(["read"], target="{root}/**"))
    for mode in ("overwrite", "append", "replace"):
        refused(world, act, system, lambda mode=mode: osl.write_file(inside / "a", b"", mode=mode))
    assert (inside / "a").read_bytes() == b"mine"


def test_creating_through_a_dangling_link(world, act, inside, system):
    (inside / "dangling").symlink_to(world.root / "planted")
    for mode in ("overwrite", "append", "replace"):
        record = refused(
            world,
            act,
            system,
            lambda mode=mode: osl.write_file(inside / "dangling", b"x", mode=mode),
        )
        assert record.rule == "dangling-link"
    # To make a new file of that name is allowed, and the name is taken.
    with pytest.raises(FileExistsError):
        act(system, lambda: osl.write_file(inside / "dangling", b"x", mode="create"))
    assert world.decisions()[-1] == ("filesystem.create", "{root}/in/dangling", "allow")
    assert not (world.root / "planted").exists()


def test_a_directory_moved_while_it_is_walked(world, act, inside, system):
    (inside / "sub").mkdir()
    (inside / "sub/file").write_bytes(b"")

    seen = []

    async def walk():
        async for entry in await osl.walk_directory(inside):
            seen.append(entry.path)
            if entry.name == "a":
                # What was listed as `sub` becomes a way to the private directory.
                os.rename(inside / "sub", world.root / "moved")
                os.symlink(world.root / "private", inside / "sub")

    record = refused(world, act, system, walk)
    assert (record.operation, record.target) == ("filesystem.list", str(world.root / "private"))
    assert seen == [str(inside / "a")]


def test_what_is_no_regular_file_is_not_opened(world, act):
    os.mkfifo(world.root / "pipe")
    system = world.allowing(*ALL)
    refused(world, act, system, lambda: osl.read_file(world.root / "pipe"))
    refused(world, act, system, lambda: osl.read_file(world.root))
    world.close()
    system = world.system(rule(ALL, target="/dev/**"))
    refused(world, act, system, lambda: osl.read_file("/dev/zero", length=10))
