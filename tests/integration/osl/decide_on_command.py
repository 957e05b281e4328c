"""Open a gate and decide as each line of input says; answer with what came of it, as JSON."""

from __future__ import annotations

import json
import sys

from airssys.osl._native import AuditLog, Gate, Subject

where, group = sys.argv[1], int(sys.argv[2])
log = AuditLog(where, key=bytes(32), group=group, flush_interval=0.001, segment_bytes=65536)
gate = Gate(log)
alice = Subject("alice")
rule = {"id": "r", "effect": "allow", "principals": ["*"], "kind": "filesystem"}
rule |= {"targets": ["/**"], "access": ["*"]}


def load(**more: object) -> None:
    gate.load(json.dumps({"schema": 1, "rules": [rule | more]}).encode())


load()
for line in sys.stdin:
    word, _, argument = line.strip().partition(" ")
    if word == "expires":
        load(expires=float(argument))
    decision = None
    for number in range(int(argument) if word == "decide" else 1):
        must = word == "must"
        decision = gate.decide(alice, "filesystem", "read", f"/{number}", must_audit=must)
    print(
        json.dumps(
            {
                "allowed": decision.allowed,
                "rule": decision.rule,
                "reason": decision.reason,
                "sequence": log.sequence,
                "durable": log.durable,
            }
        ),
        flush=True,
    )
log.close()
