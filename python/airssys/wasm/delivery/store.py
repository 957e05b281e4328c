"""Rollouts in the database of a state directory."""

# pyright: reportPrivateUsage=false
# The tables stand in the registry's database.

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from airssys.wasm.delivery.analysis import Stage
from airssys.wasm.delivery.errors import RolloutInProgress
from airssys.wasm.delivery.judging import Judgement
from airssys.wasm.delivery.records import OPEN_STATES, Baseline, RolloutStep
from airssys.wasm.delivery.strategies import decode_strategy, encode_strategy

if TYPE_CHECKING:
    import sqlite3

    from airssys.wasm.delivery.records import RolloutState, StepKind
    from airssys.wasm.delivery.strategies import Stepwise
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import NewRevision, Revision

__all__ = ["OpenRollout", "RolloutStore"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenRollout:
    """A rollout that has not ended, as it is on record.

    Attributes:
        id: A number that is never reused.
        deployment: What is moved.
        from_revision: The live revision.
        to_revision: The new one.
        strategy: How.
        salt: Decides with a key on which side it is.
        baseline: How the live revision was before.
        last: What it did last.
        recoveries: How often its host ended in the midst of it without being closed.
    """

    id: int
    deployment: str
    from_revision: int
    to_revision: int
    strategy: Stepwise
    salt: bytes
    baseline: Baseline
    last: RolloutStep
    recoveries: int


class RolloutStore:
    """Keeps rollouts and every step of theirs. Safe to use from several threads.

    What a method returns is durable.

    Args:
        registry: The open registry of the state directory.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def begin(
        self,
        name: str,
        new: NewRevision,
        strategy: Stepwise,
        *,
        salt: bytes,
        baseline: Baseline,
        weight: float,
    ) -> tuple[OpenRollout, Revision]:
        """Record a new revision and the beginning of its rollout; the live one stays live.

        Raises:
            RolloutInProgress: Another one has not ended.
            StateWriteFailed: Nothing was recorded.
        """
        live = self._registry.deployment(name)
        current = self.open(name)
        if current is not None:
            raise RolloutInProgress(name, current.to_revision)
        with self._registry._writing("record the rollout") as connection:  # noqa: SLF001
            revision = self._registry._insert_next(connection, live, new)  # noqa: SLF001
            (rollout,) = connection.execute(
                "INSERT INTO rollouts (deployment, kind, from_revision, to_revision, who, at, why,"
                " strategy, state, salt, baseline)"
                " VALUES (?, 'deploy', ?, ?, ?, ?, ?, ?, 'running', ?, ?)"
                " RETURNING id",
                (
                    live.id,
                    live.live,
                    revision.number,
                    new.who,
                    revision.at.timestamp(),
                    new.why,
                    encode_strategy(strategy),
                    salt,
                    msgspec.json.encode(baseline).decode(),
                ),
            ).fetchone()
            step = RolloutStep(
                sequence=1,
                at=revision.at,
                kind="step",
                state="running",
                step=0,
                weight=weight,
                who=new.who,
                why=new.why,
            )
            _insert(connection, rollout, step)
        found = self.open(name)
        assert found is not None, "it was recorded just now"  # noqa: S101
        return found, revision

    def add(
        self,
        rollout: int,
        *,
        kind: StepKind,
        state: RolloutState,
        step: int,
        weight: float,
        who: str,
        why: str,
        judgement: Judgement | None = None,
        stages: tuple[Stage, ...] = (),
    ) -> RolloutStep:
        """Record what a rollout is about to do. `promoted` makes its revision the live one.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        at = dt.datetime.now(dt.UTC)
        with self._registry._writing("record the rollout") as connection:  # noqa: SLF001
            (sequence,) = connection.execute(
                "SELECT coalesce(max(sequence), 0) + 1 FROM rollout_steps WHERE rollout = ?",
                (rollout,),
            ).fetchone()
            entry = RolloutStep(
                sequence=sequence,
                at=at,
                kind=kind,
                state=state,
                step=step,
                weight=weight,
                who=who,
                why=why,
                judgement=judgement,
                stages=stages,
            )
            _insert(connection, rollout, entry)
            ended = None if state in OPEN_STATES else at.timestamp()
            connection.execute(
                "UPDATE rollouts SET state = ?, ended_at = ? WHERE id = ?", (state, ended, rollout)
            )
            if state == "promoted":
                connection.execute(
                    "UPDATE deployments SET live = to_revision FROM rollouts"
                    " WHERE rollouts.id = ? AND deployments.id = rollouts.deployment",
                    (rollout,),
                )
        return entry

    def open(self, name: str) -> OpenRollout | None:
        """Return the rollout of a deployment that has not ended."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT rollouts.id, name, from_revision, to_revision, strategy, salt, baseline"
            " FROM rollouts JOIN deployments ON deployments.id = deployment"
            " WHERE name = ? AND removed_at IS NULL AND strategy IS NOT NULL AND ended_at IS NULL",
            name,
        )
        if not rows:
            return None
        rollout, deployment, start, end, strategy, salt, baseline = rows[0]
        steps = self.steps(rollout)
        decoded = decode_strategy(strategy)
        return OpenRollout(
            id=rollout,
            deployment=deployment,
            from_revision=start,
            to_revision=end,
            strategy=decoded,  # type: ignore[arg-type]  # nothing else is recorded as open
            salt=salt,
            baseline=msgspec.json.decode(baseline, type=Baseline),
            last=steps[-1],
            recoveries=sum(
                after.kind == "recovered" and before.kind != "closed"
                for before, after in itertools.pairwise(steps)
            ),
        )

    def steps(self, rollout: int) -> tuple[RolloutStep, ...]:
        """Return everything that a rollout did, the first step first."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT sequence, at, kind, state, step, weight, who, why, judgement, stages"
            " FROM rollout_steps WHERE rollout = ? ORDER BY sequence",
            rollout,
        )
        return tuple(_step(row) for row in rows)

    def latest(self, name: str) -> int | None:
        """Return the number of the last rollout of a deployment that went step by step."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT max(rollouts.id) FROM rollouts JOIN deployments ON deployments.id = deployment"
            " WHERE name = ? AND removed_at IS NULL AND strategy IS NOT NULL",
            name,
        )
        found: int | None = rows[0][0]
        return found


def _insert(connection: sqlite3.Connection, rollout: int, step: RolloutStep) -> None:
    connection.execute(
        "INSERT INTO rollout_steps"
        " (rollout, sequence, at, kind, state, step, weight, who, why, judgement, stages)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            rollout,
            step.sequence,
            step.at.timestamp(),
            step.kind,
            step.state,
            step.step,
            step.weight,
            step.who,
            step.why,
            None if step.judgement is None else msgspec.json.encode(step.judgement).decode(),
            msgspec.json.encode(step.stages).decode(),
        ),
    )


def _step(row: tuple[Any, ...]) -> RolloutStep:
    sequence, at, kind, state, step, weight, who, why, judgement, stages = row
    return RolloutStep(
        sequence=sequence,
        at=dt.datetime.fromtimestamp(at, dt.UTC),
        kind=kind,
        state=state,
        step=step,
        weight=weight,
        who=who,
        why=why,
        judgement=(None if judgement is None else msgspec.json.decode(judgement, type=Judgement)),
        stages=msgspec.json.decode(stages, type=tuple[Stage, ...]),
    )
