"""A state directory: who owns it, what it refuses, and what is left after anything went wrong."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from airssys.wasm.blobs import digest_of
from airssys.wasm.host_errors import (
    ComponentDamaged,
    NothingToRollBackTo,
    StateDirectoryDamaged,
    StateDirectoryError,
    StateDirectoryInUse,
    StateDirectoryTooNew,
    UnknownDeployment,
    UnknownRevision,
)
from airssys.wasm.revision import NewRevision, Settings
from airssys.wasm.schema import MIGRATIONS, connect
from airssys.wasm.state_directory import StateDirectory, open_registry


def deploy(opened: StateDirectory, content: bytes, name="acme/calc", **settings):
    digest = opened.blobs.put(content)
    new = NewRevision(
        digest=digest, size=len(content), settings=Settings(**settings), who="me", why="test"
    )
    return opened.registry.record_deploy(name, new)


class TestOwnership:
    def test_a_second_owner_in_another_process_is_told_who_has_it(self, state, python):
        owner = python(
            """
            import pathlib, sys
            from airssys.wasm.state_directory import StateDirectory
            StateDirectory(pathlib.Path(sys.argv[1])); print("mine", flush=True); sys.stdin.read()
            """,
            state,
        )
        assert owner.stdout.readline() == "mine\n"
        with pytest.raises(StateDirectoryInUse, match=f"in use by process {owner.pid}"):
            StateDirectory(state)

    def test_the_directory_is_free_once_its_owner_was_killed(self, state, python):
        owner = python(
            """
            import pathlib, sys
            from airssys.wasm.state_directory import StateDirectory
            StateDirectory(pathlib.Path(sys.argv[1])); print("mine", flush=True); sys.stdin.read()
            """,
            state,
        )
        owner.stdout.readline()
        owner.kill()
        owner.wait()
        StateDirectory(state).close()

    def test_a_second_owner_in_this_process_is_refused(self, state):
        with StateDirectory(state), pytest.raises(StateDirectoryInUse, match="another host"):
            StateDirectory(state)

    def test_a_forked_child_neither_keeps_nor_frees_the_ownership(self, state):
        with StateDirectory(state):
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.read(read, 1)
                os._exit(0)
            with pytest.raises(StateDirectoryInUse):
                StateDirectory(state)
        StateDirectory(state).close()
        os.write(write, b".")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)

    def test_the_registry_can_be_read_beside_the_owner(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"one")
            with contextlib.closing(open_registry(state)) as registry:
                assert [each.name for each in registry.deployments()] == ["acme/calc"]


class TestRevisions:
    def test_they_are_numbered_and_survive(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"one")
            _, second = deploy(opened, b"two", lifetime="pooled", limits={"memory": 1 << 20})
        with StateDirectory(state) as opened:
            revisions = opened.registry.revisions("acme/calc")
            assert [each.number for each in revisions] == [1, 2]
            assert revisions[1] == second
            assert revisions[1].settings == Settings(lifetime="pooled", limits={"memory": 1 << 20})
            assert opened.registry.deployment("acme/calc").live == 2
            assert opened.blobs.get(second.digest) == b"two"

    def test_a_rollback_leads_to_what_the_live_revision_replaced(self, state):
        with StateDirectory(state) as opened:
            registry = opened.registry
            for content in (b"1", b"2", b"3"):
                deploy(opened, content)
            registry.record_rollback("acme/calc", 1, who="me", why="3 is bad")
            deploy(opened, b"4")
            # Not 3, which was rolled back from.
            assert registry.rollback_target("acme/calc", None).number == 1
            registry.record_rollback("acme/calc", 1, who="me", why="4 as well")
            with pytest.raises(NothingToRollBackTo):
                registry.rollback_target("acme/calc", None)
            assert [
                (each.kind, each.from_revision, each.to_revision)
                for each in registry.rollouts("acme/calc")
            ] == [
                ("deploy", None, 1),
                ("deploy", 1, 2),
                ("deploy", 2, 3),
                ("rollback", 3, 1),
                ("deploy", 1, 4),
                ("rollback", 4, 1),
            ]

    def test_unknown_names_and_numbers_are_answered_with_the_known_ones(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"1")
            with pytest.raises(UnknownDeployment, match="did you mean acme/calc"):
                opened.registry.deployment("acme/clac")
            with pytest.raises(UnknownRevision, match="its revisions are 1"):
                opened.registry.rollback_target("acme/calc", 7)

    def test_a_removed_name_is_free_and_its_id_is_not(self, state):
        with StateDirectory(state) as opened:
            first, _ = deploy(opened, b"1")
            opened.registry.record_remove("acme/calc", who="me", why="over")
            assert opened.registry.deployments() == ()
            second, revision = deploy(opened, b"2")
            assert second.id > first.id
            assert revision.number == 1

    def test_collecting_deletes_what_no_deployment_needs(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"kept")
            deploy(opened, b"gone!", name="acme/other")
            opened.registry.record_remove("acme/other", who="me", why="")
            assert opened.collect() == len(b"gone!")
            assert opened.blobs.get(digest_of(b"kept")) == b"kept"
            with pytest.raises(ComponentDamaged):
                opened.blobs.get(digest_of(b"gone!"))


class TestRefusals:
    def test_a_newer_version_is_refused_untouched(self, state):
        StateDirectory(state).close()
        with contextlib.closing(sqlite3.connect(state / "airssys.db")) as database:
            database.execute("PRAGMA user_version = 99")
        before = (state / "airssys.db").read_bytes()
        with pytest.raises(StateDirectoryTooNew, match="version 99"):
            StateDirectory(state)
        with pytest.raises(StateDirectoryTooNew):
            open_registry(state)
        assert (state / "airssys.db").read_bytes() == before

    def test_a_refused_directory_is_not_left_owned(self, state):
        self.test_a_newer_version_is_refused_untouched(state)
        with contextlib.closing(sqlite3.connect(state / "airssys.db")) as database:
            database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        StateDirectory(state).close()

    def test_a_database_of_another_program_is_refused(self, state):
        state.mkdir()
        with contextlib.closing(sqlite3.connect(state / "airssys.db")) as database:
            database.execute("CREATE TABLE notes (text)")
        with pytest.raises(StateDirectoryDamaged, match="not a database of AirsSys"):
            StateDirectory(state)

    @pytest.mark.parametrize("position", [0, 100])
    def test_a_damaged_database_is_named(self, state, position):
        with StateDirectory(state) as opened:
            deploy(opened, b"1")
        with (state / "airssys.db").open("r+b") as file:
            file.seek(position)
            file.write(b"garbage" * 600)
        with (
            pytest.raises(StateDirectoryDamaged, match=r"airssys\.db"),
            StateDirectory(state) as opened,
        ):
            opened.registry.deployments()

    def test_a_directory_with_other_things_in_it_is_refused_untouched(self, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(StateDirectoryError, match="holds no state"):
            StateDirectory(tmp_path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_file_is_refused(self, tmp_path):
        file = tmp_path / "file"
        file.touch()
        with pytest.raises(StateDirectoryError, match="is not a directory"):
            StateDirectory(file)

    def test_looking_into_a_missing_directory_does_not_make_it(self, state):
        with pytest.raises(StateDirectoryError, match="no state directory"):
            open_registry(state)
        assert not state.exists()

    def test_a_damaged_component_is_refused_and_mended_by_its_bytes(self, state):
        with StateDirectory(state) as opened:
            digest = opened.blobs.put(b"component")
            path = state / "blobs" / "sha256" / digest.removeprefix("sha256:")
            path.chmod(0o600)
            path.write_bytes(b"componenT")
            with pytest.raises(ComponentDamaged, match="no longer matches"):
                opened.blobs.get(digest)
            opened.blobs.put(b"component")
            assert opened.blobs.get(digest) == b"component"


class TestMigration:
    def test_an_older_database_is_backed_up_and_brought_forward(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"1")
        following = (*MIGRATIONS, "ALTER TABLE deployments ADD COLUMN note TEXT DEFAULT 'new'")
        with contextlib.closing(connect(state / "airssys.db", following)) as database:
            assert database.execute("SELECT name, note FROM deployments").fetchall() == [
                ("acme/calc", "new")
            ]
        with pytest.raises(StateDirectoryTooNew):
            StateDirectory(state)
        backup = state / f"airssys.db.v{len(MIGRATIONS)}"
        shutil.copy(backup, state / "airssys.db")
        with StateDirectory(state) as opened:
            assert opened.registry.deployment("acme/calc").live == 1

    def test_a_failing_migration_changes_nothing(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"1")
        broken = (*MIGRATIONS, "CREATE TABLE extra (x); CREATE TABLE extra (x)")
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            connect(state / "airssys.db", broken)
        with StateDirectory(state) as opened:
            assert opened.registry.deployment("acme/calc").live == 1


FILL = """
import pathlib, sys
from airssys.wasm.host_errors import StateWriteFailed
from airssys.wasm.revision import NewRevision, Settings
from airssys.wasm.state_directory import StateDirectory
with StateDirectory(pathlib.Path(sys.argv[1])) as opened:
    content = bytes(int(sys.argv[2]))
    try:
        for number in range(int(sys.argv[3])):
            digest = opened.blobs.put(content + b"%d" % number)
            opened.registry.record_deploy("acme/calc", NewRevision(
                digest=digest, size=1, settings=Settings(), who="me", why="x" * 5000))
            print(number + 1, flush=True)
    except StateWriteFailed as error:
        print(error)
"""


class TestFullAndReadOnly:
    def test_a_component_that_does_not_fit_is_one_error_and_leaves_nothing(self, state, python):
        StateDirectory(state).close()
        process = python(
            FILL,
            state,
            4 << 20,
            1,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20)),
        )
        output, errors = process.communicate()
        assert "cannot store a component of 4194305 bytes: no room" in output, errors
        assert "nothing was changed" in output
        assert list((state / "blobs" / "sha256").iterdir()) == []
        with StateDirectory(state) as opened:
            assert opened.registry.deployments() == ()

    def test_a_database_that_cannot_grow_keeps_what_was_acknowledged(self, state, python):
        StateDirectory(state).close()
        process = python(
            FILL,
            state,
            10,
            1000,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
        )
        output, errors = process.communicate()
        *acknowledged, error = output.splitlines()
        assert "cannot record the deployment" in error, errors
        assert acknowledged
        with StateDirectory(state) as opened:
            numbers = [str(each.number) for each in opened.registry.revisions("acme/calc")]
            assert numbers == acknowledged

    def test_a_full_file_system_is_one_error(self, state, python):
        state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state)]
        inside = ["unshare", "--map-root-user", "--mount", "--"]
        if subprocess.run([*inside, *mount], capture_output=True, check=False).returncode:
            pytest.skip("no tmpfs of one's own on this machine")
        script = """
            mount -t tmpfs -o size=1m tmpfs "$1" &&
            "$0" -c "$2" "$1" 300000 10 && ls "$1/blobs/sha256"
        """
        done = subprocess.run(
            [*inside, "sh", "-c", script, sys.executable, str(state), FILL],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert "no room in state directory" in done.stdout, done.stderr
        acknowledged = [line for line in done.stdout.splitlines() if line.isdigit()]
        stored = [line for line in done.stdout.splitlines() if len(line) == 64]
        assert len(acknowledged) <= len(stored) <= len(acknowledged) + 1
        assert ".partial" not in done.stdout

    def test_a_read_only_directory_is_one_error(self, state):
        with StateDirectory(state) as opened:
            deploy(opened, b"1")
        message = without_privileges(state, lambda: StateDirectory(state))
        assert message.startswith("StateWriteFailed: cannot take the lock: state directory")
        assert "is not writable" in message

    def test_a_directory_that_cannot_be_made_is_one_error(self, tmp_path):
        parent = tmp_path / "parent"
        parent.mkdir()
        message = without_privileges(parent, lambda: StateDirectory(parent / "state"))
        assert message.startswith("StateWriteFailed: cannot make the state directory")


def without_privileges(directory, action) -> str:
    """Run `action` in a child that may not write `directory`, and return its error."""
    for entry in [directory, *directory.rglob("*")]:
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    for parent in directory.parents:
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(0o755)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            action()
            message = "no error"
        except BaseException as error:  # noqa: BLE001 - the parent judges it
            message = f"{type(error).__name__}: {error}"
        os.write(write, message.encode())
        os._exit(0)
    os.close(write)
    message = os.read(read, 65536).decode()
    os.close(read)
    os.waitpid(child, 0)
    for entry in [directory, *directory.rglob("*")]:
        entry.chmod(0o755)
    return message


class TestKill:
    def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(self, state, python):
        """Kill a writer 25 times, when it has acknowledged the n-th deployment of its life."""
        acknowledged = 0
        for lives in range(25):
            process = python(
                """
                import pathlib, sys, os
                from airssys.wasm.revision import NewRevision, Settings
                from airssys.wasm.state_directory import StateDirectory
                with StateDirectory(pathlib.Path(sys.argv[1])) as opened:
                    while True:
                        content = os.urandom(200_000)
                        digest = opened.blobs.put(content)
                        _, revision = opened.registry.record_deploy("acme/calc", NewRevision(
                            digest=digest, size=len(content), settings=Settings(), who="me",
                            why=""))
                        print(revision.number, flush=True)
                """,
                state,
            )
            for _ in range(1 + lives % 4):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                acknowledged = int(line)
            process.send_signal(signal.SIGKILL)
            # Not `communicate`, which knows nothing of what `readline` has taken in advance.
            rest = process.stdout.read().splitlines()
            process.wait()
            acknowledged = int(rest[-1]) if rest else acknowledged
            with StateDirectory(state) as opened:
                revisions = opened.registry.revisions("acme/calc")
                live = opened.registry.deployment("acme/calc").live
                assert [each.number for each in revisions] == list(range(1, len(revisions) + 1))
                assert acknowledged <= len(revisions) == live <= acknowledged + 1
                for revision in revisions:
                    assert len(opened.blobs.get(revision.digest)) == revision.size
                assert not list((state / "blobs" / "sha256").glob("*.partial"))
                acknowledged = len(revisions)
