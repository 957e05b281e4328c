"""The registry against a model of it: whatever is done in whatever order, and reopened."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airssys.wasm import NothingToRollBackTo, Settings, UnknownDeployment, UnknownRevision
from airssys.wasm.revision import NewRevision
from airssys.wasm.state_directory import StateDirectory

NAMES = strategies.sampled_from(["acme/one", "acme/two", "other/one"])
CONTENTS = strategies.sampled_from([b"a", b"bb", b"ccc"])


class Model:
    """A deployment as a list of contents, what each replaced, and which is live."""

    def __init__(self, identity):
        self.id = identity
        self.contents = []
        self.replaced = []
        self.live = None
        self.rollouts = []

    def go(self, number):
        self.rollouts.append((self.live, number))
        self.live = number


class Registry(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.state = StateDirectory(self.folder / "state")
        self.model: dict[str, Model] = {}
        self.identities = set()

    def teardown(self):
        self.state.close()
        shutil.rmtree(self.folder)

    @rule(name=NAMES, content=CONTENTS)
    def deploy(self, name, content):
        expected = self.state.registry.next_number(name)
        digest = self.state.blobs.put(content)
        record, revision = self.state.registry.record_deploy(
            name,
            NewRevision(digest=digest, size=len(content), settings=Settings(), who="me", why=""),
        )
        if name not in self.model:
            assert record.id not in self.identities, "an id was used again"
            self.identities.add(record.id)
            self.model[name] = Model(record.id)
        model = self.model[name]
        model.contents.append(content)
        model.replaced.append(model.live)
        assert revision.number == expected == len(model.contents)
        model.go(revision.number)

    @rule(name=NAMES, to=strategies.one_of(strategies.none(), strategies.integers(1, 6)))
    def roll_back(self, name, to):
        model = self.model.get(name)
        registry = self.state.registry
        if model is None:
            with pytest.raises(UnknownDeployment):
                registry.rollback_target(name, to)
            return
        wanted = model.replaced[model.live - 1] if to is None else to
        if wanted is None:
            with pytest.raises(NothingToRollBackTo):
                registry.rollback_target(name, to)
        elif wanted > len(model.contents):
            with pytest.raises(UnknownRevision):
                registry.rollback_target(name, to)
        else:
            assert registry.rollback_target(name, to).number == wanted
            registry.record_rollback(name, wanted, who="me", why="")
            model.go(wanted)

    @precondition(lambda self: self.model)
    @rule(data=strategies.data())
    def remove(self, data):
        name = data.draw(strategies.sampled_from(sorted(self.model)))
        self.state.registry.record_remove(name, who="me", why="")
        del self.model[name]

    @rule()
    def collect(self):
        self.state.collect()
        needed = {content for model in self.model.values() for content in model.contents}
        stored = {path.read_bytes() for path in (self.state.path / "blobs/sha256").iterdir()}
        assert stored == needed

    @rule()
    def reopen(self):
        self.state.close()
        self.state = StateDirectory(self.folder / "state")

    @invariant()
    def the_registry_is_as_the_model_says(self):
        registry = self.state.registry
        assert [each.name for each in registry.deployments()] == sorted(self.model)
        for name, model in self.model.items():
            assert registry.deployment(name).live == model.live
            revisions = registry.revisions(name)
            assert [each.number for each in revisions] == list(range(1, len(model.contents) + 1))
            assert [each.replaced for each in revisions] == model.replaced
            assert [self.state.blobs.get(each.digest) for each in revisions] == model.contents
            moves = [(each.from_revision, each.to_revision) for each in registry.rollouts(name)]
            assert moves == model.rollouts


def test_the_registry_does_what_its_model_does():
    run_state_machine_as_test(
        Registry,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
