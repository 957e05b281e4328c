"""A grant ends by the wall clock or by the time that has passed, whichever is first."""

from __future__ import annotations

import datetime as dt
import types

import pytest

from airssys.wasm.security import rules
from airssys.wasm.security.grant import Grant
from airssys.wasm.security.rules import HeldGrant, grant_rules

BEGUN = 1_800_000_000.0


class Clocks:
    """Both clocks of a machine: what passes moves both, setting the time the wall clock alone."""

    def __init__(self) -> None:
        self.wall, self.monotonic = BEGUN, 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    read = types.SimpleNamespace(time=lambda: clocks.wall, monotonic=lambda: clocks.monotonic)
    monkeypatch.setattr(rules, "time", read)
    return clocks


def granted(until: dt.datetime | None) -> Grant:
    return Grant(
        id=1,
        deployment_id=1,
        deployment="acme/one",
        kind="http",
        access=("GET",),
        target="https://example.com:443/**",
        more={},
        who="kim",
        at=dt.datetime.fromtimestamp(BEGUN, dt.UTC),
        why="",
        until=until,
        place="http[0]",
    )


def in_force(held: HeldGrant) -> list[dict[str, object]]:
    return grant_rules("acme/one", {1: types.SimpleNamespace(mounts={})}, [held])


def test_setting_the_clock_back_does_not_lengthen_a_grant(clocks: Clocks) -> None:
    held = HeldGrant.of(granted(dt.datetime.fromtimestamp(BEGUN + 3600, dt.UTC)))
    clocks.passes(1800)
    clocks.wall -= 86_400
    assert held.remaining == pytest.approx(1800)
    (rule,) = in_force(held)
    # The rule's own end is counted from the clock as it is now.
    assert rule["expires"] == pytest.approx(clocks.wall + 1800)
    clocks.passes(1800)
    assert in_force(held) == []


def test_setting_the_clock_forward_ends_a_grant(clocks: Clocks) -> None:
    held = HeldGrant.of(granted(dt.datetime.fromtimestamp(BEGUN + 3600, dt.UTC)))
    clocks.wall += 3601
    assert in_force(held) == []


def test_a_grant_without_an_end_has_none(clocks: Clocks) -> None:
    held = HeldGrant.of(granted(None))
    clocks.passes(10**9)
    (rule,) = in_force(held)
    assert "expires" not in rule
