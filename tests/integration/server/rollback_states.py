"""Every state in which somebody may want an earlier revision back, each made on a served host.

Each function leaves a deployment in its state, and returns the options of `airssys rollback` that
lead back and the revision that is to be live then.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from airssys.wasm import Analysis, Bounds, Canary, Recreate, Rolling, Trap
from airssys.wasm.actors import ActorSettings
from airssys.wasm.settings import settings_from

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
POOLED = settings_from(lifetime="pooled", instances=1)
BY_HAND = Canary(steps=(50,), step_duration=3600, analysis=None, bounds=Bounds(past=None))


def component(version: int, traps_every: int = 1_000_000_000) -> bytes:
    """Return a component that says its version, and traps in every n-th call of an instance."""
    return f"""
    (component
      (core module $m
        (global $calls (mut i32) (i32.const 0))
        (func (export "version") (result i32)
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          (if (i32.eqz (i32.rem_u (global.get $calls) (i32.const {traps_every})))
            (then unreachable))
          (i32.const {version})))
      (core instance $i (instantiate $m))
      (func (export "version") (result u32) (canon lift (core func $i "version"))))
    """.encode()


def _deploy(host, name, version, strategy=None, **behaviour):
    return host.deploy_as(component(version, **behaviour), name, POOLED, strategy=strategy)


def _moving(host, name, strategy=BY_HAND, **behaviour):
    _deploy(host, name, 1)
    _deploy(host, name, 2, strategy, **behaviour)
    return host.deployment(name).rollout()


def _until(rollout, state):
    for step in rollout.events():
        if step.state == state:
            return


def replaced_at_once(host, name):
    _deploy(host, name, 1)
    _deploy(host, name, 2)
    return (), 1


def recreated(host, name):
    _moving(host, name, Recreate())
    return (), 1


def promoted(host, name):
    _moving(host, name).promote()
    return (), 1


def canary_running(host, name):
    _moving(host, name)
    return (), 1


def rolling_running(host, name):
    _moving(host, name, Rolling(step_duration=3600))
    return (), 1


def paused(host, name):
    _moving(host, name).pause()
    return (), 1


def weighed_by_hand(host, name):
    _moving(host, name).set_weight(100)
    return (), 1


def held_for_evidence(host, name):
    analysis = Analysis(min_calls=10**6, max_wait=0)
    _until(_moving(host, name, Canary(steps=(5,), step_duration=0, analysis=analysis)), "held")
    return (), 1


def held_security_fix(host, name):
    strategy = Canary(steps=(50,), step_duration=3600, security_fix=True)
    rollout = _moving(host, name, strategy, traps_every=1)
    while rollout.status().state != "held":
        with contextlib.suppress(Trap):
            host.call(name, "version")
    return (), 1


def taken_back(host, name):
    _deploy(host, name, 1)
    _deploy(host, name, 2)
    _deploy(host, name, 3, BY_HAND)
    host.deployment(name).rollout().abort()
    return (), 1


def rolled_back_before(host, name):
    _deploy(host, name, 1)
    _deploy(host, name, 2)
    host.deployment(name).rollback()
    return ("--to", "2"), 2


def many_revisions_back(host, name):
    """Further than what is kept warm: the first revision is started anew."""
    for version in range(1, 9):
        _deploy(host, name, version)
    return ("--to", "1"), 1


def _counter(host, name, **settings):
    actor = ActorSettings(codec="json", **settings)
    return host.deploy(COMPONENTS / "counter-rust.wasm", name=name, lifetime="actor", actor=actor)


def actors_on_both_sides(host, name):
    counter = _counter(host, name)
    for key in ("", "ada", "grace", "alan"):
        assert counter.actor(key).ask({"add": 7}) == 7
    counter.deploy(COMPONENTS / "counter-rust-2.wasm", strategy=BY_HAND, wait=False)
    return (), 1


def held_by_a_crash_loop(host, name):
    """The live revision crashes until its supervisor gives up, and takes no message any more."""
    counter = host.deploy(
        COMPONENTS / "counter-rust-2.wasm",
        name=name,
        lifetime="actor",
        actor=ActorSettings(codec="json"),
    )
    assert counter.actor().ask({"add": 7})["count"] == 7
    counter = _counter(host, name, burst=1, period=60.0)
    while counter.held is None:
        with contextlib.suppress(Exception):
            counter.actor().ask({"divide": 0})
    return (), 1


STATES = (
    replaced_at_once,
    recreated,
    promoted,
    canary_running,
    rolling_running,
    paused,
    weighed_by_hand,
    held_for_evidence,
    held_security_fix,
    taken_back,
    rolled_back_before,
    many_revisions_back,
    actors_on_both_sides,
    held_by_a_crash_loop,
)
