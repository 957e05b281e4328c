"""Random rules and requests over a world so small that they meet often."""

from __future__ import annotations

import random

from osl_model import Who

from airssys.osl._native import Callers, Subject

NAMES = ["alice", "bob", "acme/web", "acme/job", "umbra/web"]
NAME_PATTERNS = ["acme/*", "*/web", "**", "acme/**", "*", "*b", "a*/w*b", "**/job"]
ROLES = ["reader", "editor", "admin"]
SEGMENTS = ["data", "out", "a.txt"]
PATTERNS = ["data", "out", "a.txt", "*", "**", "*", "**", "*.txt", "a*", "o*t"]
ACCESSES = ["read", "write", "list"]
ATTRIBUTES = {
    "source": [
        "cron",
        "web",
        3,
        "10.1.2.3",
        "::ffff:10.1.2.3",
        "010.1.2.3",
        "fd00::1",
        "10.1.2.3:80",
    ],
    "level": [1, 2, 2.5, "high"],
    "trusted": [True, False],
    "tags": [["a"], ["a", "b"], []],
}
OPERATORS = "eq ne lt le gt ge in contains prefix exists network".split()
PROGRAMS = ["/usr/bin/git", "/usr/bin/make", "/opt/x"]
#: Long over, and not over while anything here runs.
PAST, FUTURE = 1.0, 4e9
ARGUMENTS = ["status", "--all", "log", "x"]


def path(rng: random.Random) -> str:
    return "/" + "/".join(rng.choice(SEGMENTS) for _ in range(rng.randint(1, 3)))


def pattern(rng: random.Random) -> str:
    return "/" + "/".join(rng.choice(PATTERNS) for _ in range(rng.randint(1, 3)))


def leaf(rng: random.Random) -> dict:
    name = rng.choice([*ATTRIBUTES, "missing", "caller", "callers"])
    op = rng.choice(OPERATORS)
    if op == "exists":
        value: object = rng.random() < 0.5
    elif op == "network":
        value = rng.sample(["10.0.0.0/8", "10.1.2.3", "192.168.0.0/16", "fd00::/8"], 2)
    elif op == "in":
        value = rng.sample(["cron", "web", "x"], 2)
    elif op in {"contains", "prefix"}:
        value = rng.choice(["a", "c", "we", *NAMES])
    elif op in {"lt", "le", "gt", "ge"}:
        value = rng.choice([1, 2, 2.5])
    else:
        value = rng.choice(["cron", "web", 2, True])
    return {"attribute": name, "op": op, "value": value}


def condition(rng: random.Random, depth: int = 2) -> dict:
    if depth == 0 or rng.random() < 0.5:
        return leaf(rng)
    shape = rng.choice(["all", "any", "not"])
    if shape == "not":
        return {"not": condition(rng, depth - 1)}
    return {shape: [condition(rng, depth - 1) for _ in range(rng.randint(1, 3))]}


def selector(rng: random.Random) -> str:
    return rng.choice(
        [
            "*",
            "*",
            f"name:{rng.choice(NAMES)}",
            f"name:{rng.choice(NAME_PATTERNS)}",
            f"role:{rng.choice(ROLES)}",
            f"namespace:{rng.choice(['acme', 'umbra'])}",
            f"revision:{rng.choice(NAMES)}@{rng.randint(1, 2)}",
        ]
    )


def rule(rng: random.Random, number: int) -> dict:
    effect = rng.choices(["allow", "deny", "require-approval"], [8, 1, 2])[0]
    made = {
        "id": f"r{number}",
        "effect": effect,
        "principals": [selector(rng) for _ in range(rng.randint(1, 2))],
    }
    if rng.random() < 0.15:
        made |= {
            "kind": "process",
            "targets": [rng.choice([*PROGRAMS, "/usr/bin/*", "/**"])],
            "access": ["spawn"],
        }
        if rng.random() < 0.7:
            made["arguments"] = [
                rng.choice([*ARGUMENTS, "*", "**", "--*"]) for _ in range(rng.randint(0, 3))
            ]
    else:
        made |= {
            "kind": "filesystem",
            "targets": [pattern(rng) for _ in range(rng.randint(1, 2))],
            "access": ["*"] if rng.random() < 0.2 else rng.sample(ACCESSES, 2),
        }
    if rng.random() < 0.2:
        made["when"] = condition(rng)
    if rng.random() < 0.25:
        made["callers"] = [selector(rng) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.2:
        made["expires"] = rng.choice([PAST, FUTURE])
    if effect != "deny" and rng.random() < 0.3:
        made["act_as"] = "self"
    if rng.random() < 0.7:
        # Of what components have, more than a third each would seldom meet.
        part = rng.choice(["request", "request", "grant", "grant", "ceiling"])
        if effect == "allow" or (effect == "require-approval" and part == "ceiling"):
            made["part"] = part
    return made


def rules(rng: random.Random) -> list[dict]:
    return [rule(rng, number) for number in range(rng.randint(0, 20))]


def ceiling(rng: random.Random) -> bool:
    return rng.random() < 0.5


def who(rng: random.Random) -> Who:
    callers: list[str] = []
    if rng.random() < 0.6:
        callers = rng.sample(NAMES, rng.randint(1, 3))
    return somebody(rng, rng.choice(NAMES), tuple(somebody(rng, name) for name in callers))


def somebody(rng: random.Random, name: str, callers: tuple[Who, ...] = ()) -> Who:
    return Who(
        name,
        frozenset(rng.sample(ROLES, rng.randint(0, 2))),
        {name: rng.choice(values) for name, values in ATTRIBUTES.items() if rng.random() < 0.8},
        rng.choice([None, 1, 2, 2]),
        callers,
        rng.choice(["enforce", "enforce", "observe", "observe", "observe", "learn", "observed"]),
    )


def subject(who: Who) -> Subject:
    """Return the native form of somebody."""
    called: Callers | None = None
    for each in (*who.callers, who):
        made = Subject(
            each.name,
            roles=sorted(each.roles),
            namespace=each.name.split("/")[0] if "/" in each.name else None,
            attributes=each.attributes,
            revision=each.revision,
            guest=each.revision is not None,
            callers=called,
            **_enforced(each.enforcement),
        )
        called = Callers(made)
    return made


def _enforced(enforcement: str) -> dict:
    if enforcement in {"observe", "observed"}:
        until = FUTURE if enforcement == "observe" else PAST
        return {"enforcement": "observe", "observe_until": until}
    return {"enforcement": enforcement}


def request(rng: random.Random) -> tuple[str, str, str, list[str] | None]:
    if rng.random() < 0.15:
        arguments = [rng.choice(ARGUMENTS) for _ in range(rng.randint(0, 3))]
        return "process", "spawn", rng.choice(PROGRAMS), arguments
    return "filesystem", rng.choice(ACCESSES), path(rng), None
