"""Cedar as a second opinion, on what both can say: names, roles, actions, paths, a condition."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import cedarpy
import osl_requests as world

from airssys.osl._native import AuditLog, Gate, Subject

ACCESSES = ["read", "write"]
LEVELS = [1, 2, 3]


def rule(rng: random.Random, number: int) -> tuple[dict, str]:
    """Return one random rule in the native form and in Cedar's."""
    name = rng.choice([*world.NAMES, None])
    role = rng.choice(world.ROLES) if name is None and rng.random() < 0.5 else None
    access = rng.choice([*ACCESSES, None])
    # Cedar's `like` has one wildcard that crosses `/`, as `**` at the end of a path does.
    path = world.path(rng)
    subtree = rng.random() < 0.7
    deny = rng.random() < 0.1
    level = rng.choice([*LEVELS, None])
    part = None if deny else rng.choice(["request", "grant", "ceiling"])
    native: dict = {
        "id": f"r{number}",
        "effect": "deny" if deny else "allow",
        "principals": [f"name:{name}" if name else f"role:{role}" if role else "*"],
        "kind": "filesystem",
        "access": [access] if access else ["*"],
        "targets": [f"{path}/**" if subtree else path],
    }
    who = f'principal == User::"{name}"' if name else "principal"
    if role:
        who = f'principal in Role::"{role}"'
    action = f'action == Action::"{access}"' if access else "action"
    tests = [f'(resource.path == "{path}" || resource.path like "{path}/*")']
    if not subtree:
        tests = [f'resource.path == "{path}"']
    if part:
        native["part"] = part
    if level:
        native["when"] = {"attribute": "level", "op": "ge", "value": level}
        tests.append(f"context.level >= {level}")
    effect = "forbid" if deny else "permit"
    return native, f"{effect}({who}, {action}, resource) when {{ {' && '.join(tests)} }};"


def compare(count: int, seed: int) -> int:
    """Decide `count` random requests both ways; raise at a disagreement, return how many agreed."""
    rng = random.Random(seed)
    done = allowed = 0
    with tempfile.TemporaryDirectory() as directory:
        log = AuditLog(Path(directory) / "log", key=bytes(32))
        gate = Gate(log)
        while done < count:
            made = [rule(rng, number) for number in range(rng.randint(12, 30))]
            rules = [native for native, _ in made]
            gate.load(json.dumps({"schema": 1, "ceiling": True, "rules": rules}).encode())
            # Code has what the policy allows; a component what all three parts allow.
            by_part = {
                part: "\n".join(cedar for native, cedar in made if native.get("part", part) == part)
                for part in ("request", "grant", "ceiling")
            }
            asked = []
            for _ in range(20):
                name, role = rng.choice(world.NAMES), rng.choice(world.ROLES)
                level, access, path = rng.choice(LEVELS), rng.choice(ACCESSES), world.path(rng)
                guest = rng.random() < 0.7
                subject = Subject(name, roles=[role], attributes={"level": level}, guest=guest)
                effect = gate.explain(subject, "filesystem", access, path).effect
                asked.append(((name, role, level, access, path), guest, effect))
            requests = [
                {
                    "principal": f'User::"{name}"',
                    "action": f'Action::"{access}"',
                    "resource": 'File::"it"',
                    "context": {"level": level},
                }
                for (name, _, level, access, _), _, _ in asked
            ]
            for ((name, role, _, _, path), guest, effect), request in zip(
                asked, requests, strict=True
            ):
                entities = [
                    {
                        "uid": {"type": "User", "id": name},
                        "attrs": {},
                        "parents": [{"type": "Role", "id": role}],
                    },
                    {"uid": {"type": "Role", "id": role}, "attrs": {}, "parents": []},
                    {"uid": {"type": "File", "id": "it"}, "attrs": {"path": path}, "parents": []},
                ]
                answers = [
                    cedarpy.is_authorized(request, by_part[part], entities)
                    for part in (by_part if guest else ["ceiling"])
                ]
                assert not any(answer.diagnostics.errors for answer in answers), answers
                both = all(answer.allowed for answer in answers)
                expected = "allow" if both else "deny"
                assert effect == expected, (seed, rules, request, path, guest, effect, expected)
                done += 1
                allowed += both
        log.close()
    assert allowed > count / 50, f"only {allowed} of {done} were allowed: too few to compare"
    return done
