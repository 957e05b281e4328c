"""Supervision trees against a model of a hundred lines, on the virtual clock."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airssys.rt import (
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    PERMANENT,
    REST_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    Actor,
    Child,
    Intensity,
    Restart,
    Strategy,
    Supervisor,
    Tell,
    handles,
)
from airssys.testing import TestSystem, VirtualLoop


@dataclass(frozen=True, slots=True)
class Crash(Tell[Any]): ...


@dataclass(frozen=True, slots=True)
class Finish(Tell[Any]): ...


@dataclass(frozen=True, slots=True)
class Work(Tell[Any]): ...


class Leaf(Actor):
    """Counts its starts by path."""

    def __init__(self, starts: Counter[str], works: Counter[str]) -> None:
        self.starts, self.works = starts, works

    def started(self) -> None:
        self.starts[self.ref.path] += 1

    @handles
    def crash(self, message: Crash) -> None:
        raise ValueError

    @handles
    async def finish(self, message: Finish) -> None:
        await asyncio.sleep(0)
        self.stop()

    @handles
    async def work(self, message: Work) -> None:
        await asyncio.sleep(0)
        self.works[self.ref.path] += 1


@dataclass
class Plan:
    """What a tree is made from."""

    name: str
    restart: Restart
    strategy: Strategy | None = None  # None: a leaf
    burst: int = 3
    children: list[Plan] = field(default_factory=list)

    def spec(self, starts: Counter[str], works: Counter[str]) -> Child | Supervisor:
        if self.strategy is None:
            return Child(self.name, Leaf, starts, works, restart=self.restart)
        return Supervisor(
            self.name,
            self.strategy,
            burst=self.burst,
            period=5.0,
            restart=self.restart,
            children=[child.spec(starts, works) for child in self.children],
        )


class Model:
    """A node as the contract describes it."""

    def __init__(self, plan: Plan, parent: Model | None, world: World) -> None:
        self.plan, self.parent, self.world = plan, parent, world
        self.path: str = (parent.path if parent else "") + "/" + plan.name
        self.consecutive = 0
        self.up_since = 0.0
        self.start()

    def start(self) -> None:
        self.children: list[Model] = []
        if self.plan.strategy is None:
            self.world.starts[self.path] += 1
        else:
            self.intensity = Intensity(self.plan.burst, 5.0)
            for plan in self.plan.children:
                self.children.append(Model(plan, self, self.world))

    def restart(self) -> None:
        self.start()
        self.up_since = self.world.now

    def over(self, *, abnormal: bool) -> None:
        """The incarnation has ended."""
        parent = self.parent
        if parent is None:
            self.world.alive = False
            return
        restart = self.plan.restart
        if restart is TEMPORARY or (restart is TRANSIENT and not abnormal):
            parent.children.remove(self)
            return
        if self.consecutive and self.world.now - self.up_since >= 5.0:
            self.consecutive = 0
        self.consecutive += 1
        if not parent.intensity.allow(self.world.now) or self.consecutive > 10:
            parent.over(abnormal=True)
            return
        group = [self]
        if parent.plan.strategy is ONE_FOR_ALL:
            group = list(parent.children)
        elif parent.plan.strategy is REST_FOR_ONE:
            group = parent.children[parent.children.index(self) :]
        for one in group:
            if one.plan.restart is TEMPORARY and one is not self:
                parent.children.remove(one)
            else:
                one.restart()

    def leaves(self) -> list[Model]:
        if self.plan.strategy is None:
            return [self]
        return [leaf for child in self.children for leaf in child.leaves()]


class World:
    """The model of everything."""

    def __init__(self, plan: Plan) -> None:
        self.now = 0.0
        self.alive = True
        self.starts: Counter[str] = Counter()
        self.top = Model(plan, None, self)

    def leaves(self) -> list[Model]:
        return self.top.leaves() if self.alive else []


RESTARTS = st.sampled_from([PERMANENT, PERMANENT, TRANSIENT, TEMPORARY])
STRATEGIES = st.sampled_from([ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE])


@st.composite
def plans(draw: Any, depth: int = 0, name: str = "top") -> Plan:
    if depth and (depth == 3 or draw(st.booleans())):
        return Plan(name, draw(RESTARTS))
    children = [
        draw(plans(depth + 1, f"{name[0]}{number}")) for number in range(draw(st.integers(1, 4)))
    ]
    restart = draw(RESTARTS) if depth else TEMPORARY
    return Plan(name, restart, draw(STRATEGIES), draw(st.integers(0, 3)), children)


class SupervisionTrees(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.starts: Counter[str] = Counter()
        self.works: Counter[str] = Counter()

    @initialize(plan=plans(), seed=st.integers(0, 1000))
    def begin(self, plan: Plan, seed: int) -> None:
        self.world = World(plan)
        self.sent: Counter[str] = Counter()

        async def start() -> None:
            self.system = TestSystem(seed=seed)
            self.system.dead_letters.ignore()
            spec = plan.spec(self.starts, self.works)
            assert isinstance(spec, Supervisor)
            await self.system.start(spec)

        self.loop.run_until_complete(start())

    def act(self, path: str, how: str) -> None:
        async def run() -> None:
            ref: Any = self.system.find(path)
            if how == "kill":
                ref.kill()
            elif how == "stop":
                await ref.stop()
            else:
                ref.tell(Crash() if how == "crash" else Finish())
            await self.system.settle()

        self.loop.run_until_complete(run())

    @precondition(lambda self: self.world.leaves())
    @rule(pick=st.integers(0, 10**6), how=st.sampled_from(["crash", "finish", "kill", "stop"]))
    def a_leaf_ends(self, pick: int, how: str) -> None:
        leaves = self.world.leaves()
        leaf = leaves[pick % len(leaves)]
        self.act(leaf.path, how)
        if how == "stop":
            assert leaf.parent is not None
            leaf.parent.children.remove(leaf)
        else:
            leaf.over(abnormal=how != "finish")

    @precondition(lambda self: self.world.alive)
    @rule(pick=st.integers(0, 10**6))
    def a_supervisor_is_killed(self, pick: int) -> None:
        supervisors: list[Model] = []
        waiting = [self.world.top]
        while waiting:
            node = waiting.pop()
            if node.plan.strategy is not None:
                waiting += node.children
                if node is not self.world.top:
                    supervisors.append(node)
        if supervisors:
            node = supervisors[pick % len(supervisors)]
            self.act(node.path, "kill")
            node.over(abnormal=True)

    @precondition(lambda self: self.world.leaves())
    @rule(pick=st.integers(0, 10**6), count=st.integers(1, 5))
    def a_leaf_works(self, pick: int, count: int) -> None:
        leaves = self.world.leaves()
        path = leaves[pick % len(leaves)].path

        async def run() -> None:
            ref: Any = self.system.find(path)
            for _ in range(count):
                ref.tell(Work())
            await self.system.settle()

        self.loop.run_until_complete(run())
        self.sent[path] += count

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.world.now = self.loop.time()

    @invariant()
    def tree_and_model_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        assert self.starts == self.world.starts
        alive = {cell.path for cell in self.system.cells() if isinstance(cell.actor, Leaf)}
        assert alive == {leaf.path for leaf in self.world.leaves()}
        assert (self.system.find("/top") is not None) is self.world.alive
        assert self.works == self.sent
        self.system.assert_conserved()

    def teardown(self) -> None:
        if hasattr(self, "system"):
            report = self.loop.run_until_complete(self.system.shutdown())
            assert report.clean
            assert self.system.cells() == []
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


TestSupervisionTrees = SupervisionTrees.TestCase
TestSupervisionTrees.settings = settings(
    max_examples=int(os.environ.get("AIRSSYS_EXAMPLES", "150")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
