"""What always holds of decisions, and that the native matcher decides as the obvious model does."""

from __future__ import annotations

import dataclasses
import json
import random

import osl_model as model
import osl_requests as world
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airssys.osl import Grant, OslError, Policy, PolicyError, Role
from airssys.osl._native import AuditLog, Gate
from airssys.osl.policy import compile_policy

seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    log = AuditLog(tmp_path_factory.mktemp("audit") / "log", key=bytes(32))
    yield Gate(log)
    log.close()


def load(gate: Gate, rules: list[dict], *, ceiling: bool = False) -> None:
    gate.load(json.dumps({"schema": 1, "ceiling": ceiling, "rules": rules}).encode())


def native(gate: Gate, who: model.Who, request: tuple) -> str:
    kind, access, target, arguments = request
    return gate.explain(world.subject(who), kind, access, target, arguments=arguments).effect


def test_native_and_model_agree_on_a_seeded_thousand(gate):
    rng = random.Random(20260101)
    effects = {
        (kind, effect): 0 for kind in ("code", "guest") for effect in ("allow", "deny", "ask")
    }
    observed = expired = 0
    for _ in range(50):
        rules, ceiling = world.rules(rng), world.ceiling(rng)
        load(gate, rules, ceiling=ceiling)
        for _ in range(20):
            who, request = world.who(rng), world.request(rng)
            expected = model.decide(rules, who, *request, ceiling=ceiling)
            assert native(gate, who, request) == expected, (rules, ceiling, who, request)
            effects["code" if who.revision is None else "guest", expected] += 1
            strict = dataclasses.replace(who, enforcement="enforce")
            observed += expected != model.decide(rules, strict, *request, ceiling=ceiling)
            kept = [each for each in rules if each.get("expires") != world.PAST]
            forever = [{**each, "expires": world.FUTURE} for each in rules]
            assert model.decide(kept, who, *request, ceiling=ceiling) == expected
            expired += expected != model.decide(forever, who, *request, ceiling=ceiling)
    # The world is small enough for every answer to occur often, for code and for components, and
    # for enforcement and expiry to make a difference.
    assert min(effects.values()) >= 10, effects
    assert observed >= 20, observed
    assert expired >= 10, expired


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_without_one_of_the_parts_a_component_has_nothing(gate, seed):
    rng = random.Random(seed)
    rules = [each for each in world.rules(rng) if "part" in each or each["effect"] == "deny"]
    without = rng.choice(["request", "grant", "ceiling"])
    load(gate, [each for each in rules if each.get("part") != without], ceiling=True)
    for _ in range(10):
        who = dataclasses.replace(world.who(rng), revision=1, enforcement="enforce")
        assert native(gate, who, world.request(rng)) in ("deny", "ask")


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_without_rules_everything_is_denied(gate, seed):
    rng = random.Random(seed)
    load(gate, [])
    who = dataclasses.replace(world.who(rng), enforcement="enforce")
    assert native(gate, who, world.request(rng)) == "deny"


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_observing_lets_pass_only_what_nobody_speaks_of(gate, seed):
    rng = random.Random(seed)
    load(gate, world.rules(rng))
    for _ in range(10):
        who, request = world.who(rng), world.request(rng)
        callers = tuple(dataclasses.replace(each, enforcement="observe") for each in who.callers)
        strict = dataclasses.replace(who, callers=callers, enforcement="enforce")
        observed = dataclasses.replace(strict, enforcement="observe")
        was, now = (native(gate, each, request) for each in (strict, observed))
        if was in ("allow", "ask") or request[0] == "process":
            assert now == was
        explained = gate.explain(world.subject(observed), *request[:3], arguments=request[3])
        if now == "allow" and was == "deny":
            assert not any(
                effect == "deny" and why == "applies" for _, effect, why in explained.matched
            )


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_one_more_deny_never_allows_more(gate, seed):
    rng = random.Random(seed)
    rules = world.rules(rng)
    asked = [(world.who(rng), world.request(rng)) for _ in range(10)]
    load(gate, rules)
    before = [native(gate, *each) for each in asked]
    more = world.rule(rng, 1000) | {"effect": "deny", "part": "whole"}
    more.pop("act_as", None)
    load(gate, [*rules, more])
    for was, each in zip(before, asked, strict=True):
        now = native(gate, *each)
        assert now in (was, "deny")


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_the_order_of_rules_changes_nothing(gate, seed):
    rng = random.Random(seed)
    rules = world.rules(rng)
    asked = [(world.who(rng), world.request(rng)) for _ in range(10)]
    load(gate, rules)
    before = [native(gate, *each) for each in asked]
    load(gate, rng.sample(rules, len(rules)))
    assert [native(gate, *each) for each in asked] == before


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_role_graphs_compile_or_name_their_cycle(edges):
    roles = [
        Role(
            name=f"r{number}",
            inherits=tuple(sorted({f"r{to}" for start, to in edges if start == number})),
            grants=(Grant(access=("read",), target=(f"/{number}",)),),
        )
        for number in range(16)
    ]
    reachable = {number: {to for start, to in edges if start == number} for number in range(16)}
    for _ in range(16):
        for number, found in reachable.items():
            reachable[number] = found | {to for via in found for to in reachable[via]}
    cyclic = any(number in found for number, found in reachable.items())
    if cyclic:
        with pytest.raises(PolicyError, match="circle"):
            compile_policy(Policy(roles=tuple(roles)))
        return
    described = json.loads(compile_policy(Policy(roles=tuple(roles))))
    for rule in described["rules"]:
        number = int(rule["targets"][0][1:])
        holders = {int(each.removeprefix("role:r")) for each in rule["principals"]}
        assert holders == {number} | {
            start for start, found in reachable.items() if number in found
        }


def test_a_chain_of_a_thousand_roles_compiles():
    roles = [
        Role(name=f"r{number}", inherits=(f"r{number + 1}",) if number < 999 else ())
        for number in range(1000)
    ]
    assert compile_policy(Policy(roles=tuple(roles)))


def test_an_unknown_effect_of_the_matcher_is_an_error_and_not_an_allow(gate):
    with pytest.raises(Exception, match="permit") as caught:
        load(gate, [world.rule(random.Random(1), 1) | {"effect": "permit"}])
    assert not isinstance(caught.value, OslError | AssertionError)
