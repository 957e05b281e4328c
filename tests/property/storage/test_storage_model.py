"""Storage over each backend agrees with a dictionary, whatever is done to it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airssys.wasm import (
    BlockingStorage,
    Check,
    Delete,
    Put,
    StorageQuota,
    StorageQuotaExceeded,
)

KEYS = st.sampled_from(["a", "a/b", "a/b/c", "ab", "ä", "z"])
VALUES = st.binary(max_size=40)
QUOTA = StorageQuota(bytes=90, keys=4, key=16, value=32)


class Machine(RuleBasedStateMachine):
    """One namespace beside a dictionary, and a second one that stays as it is."""

    @initialize(relaxed=st.sampled_from([None, 0.005]), memory=st.booleans())
    def begin(self, relaxed, memory):
        self.folder = tempfile.TemporaryDirectory(prefix="airssys-storage-")
        self.file = None if memory else Path(self.folder.name) / "storage.redb"
        self.relaxed = relaxed
        self.model: dict[str, bytes] = {}
        self.versions: dict[str, int] = {}
        self.open()
        self.other.set("a", b"theirs")

    def open(self):
        if self.file is None:
            self.storage = BlockingStorage.in_memory()
        else:
            self.storage = BlockingStorage.open(self.file, relaxed=self.relaxed)
        self.namespace = self.storage.namespace("acme/store", quota=QUOTA)
        self.other = self.storage.namespace("acme/other")

    def size(self, model):
        return sum(len(key.encode()) + len(value) for key, value in model.items())

    def fits(self, model):
        before = self.model
        return (
            self.size(model) <= max(QUOTA.bytes, self.size(before))
            and len(model) <= max(QUOTA.keys, len(before))
            and all(len(value) <= QUOTA.value for value in model.values())
        )

    @rule(changes=st.lists(st.tuples(KEYS, st.none() | VALUES), min_size=1, max_size=4))
    def batch(self, changes):
        after = dict(self.model)
        parts = []
        for key, value in changes:
            if value is None:
                after.pop(key, None)
                parts.append(Delete(key))
            else:
                after[key] = value
                parts.append(Put(key, value))
        too_long = any(value is not None and len(value) > QUOTA.value for _, value in changes)
        try:
            version = self.namespace.batch(parts)
        except StorageQuotaExceeded:
            assert too_long or not self.fits(after)
            return
        assert not too_long
        assert self.fits(after)
        for key, _ in changes:
            self.versions[key] = version
        self.model = after

    @rule(key=KEYS, value=VALUES.filter(lambda value: len(value) <= 32), right=st.booleans())
    def compare_and_set(self, key, value, right):
        current = self.versions[key] if key in self.model else None
        version = current if right else (current or 0) + 1
        after = self.model | {key: value}
        if not self.fits(after):
            return
        done = self.namespace.compare_and_set(key, version, value)
        assert (done is not None) == right
        if done is not None:
            self.model, self.versions[key] = after, done

    @rule(key=KEYS)
    def a_failed_check_changes_nothing(self, key):
        wrong = 1 << 60
        parts = [Put("z", b"!"), Delete("a"), Check(key, wrong)]
        assert self.namespace.batch(parts) is None

    @precondition(lambda self: self.file is not None)
    @rule()
    def open_again(self):
        self.storage.close()
        self.open()

    @invariant()
    def agrees(self):
        if not hasattr(self, "model"):
            return
        ordered = sorted(self.model.items(), key=lambda pair: pair[0].encode())
        assert [(each.key, each.value) for each in self.namespace.scan()] == ordered
        under = [key for key, _ in ordered if key.startswith("a/")]
        assert list(self.namespace.keys("a/")) == under
        for key in ("a", "a/b", "nothing"):
            assert self.namespace.get(key) == self.model.get(key)
        for key in self.model:
            assert self.namespace.entry(key).version == self.versions[key]
        usage = self.namespace.usage()
        assert (usage.keys, usage.bytes) == (len(self.model), self.size(self.model))
        assert next(iter(self.other.scan())).value == b"theirs"

    def teardown(self):
        if hasattr(self, "storage"):
            self.storage.close()
            self.folder.cleanup()


def test_storage_agrees_with_a_dictionary():
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
    )
