"""In a mount namespace of its own: decide until the disk that holds the log is full."""

from __future__ import annotations

import json
import subprocess
import sys

from airssys.osl._native import AuditLog, Gate, Subject

where = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", where], check=True)
log = AuditLog(f"{where}/log", key=bytes(32), segment_bytes=65536)
gate = Gate(log)
rule = {"id": "r", "effect": "allow", "principals": ["*"], "kind": "filesystem"}
gate.load(
    json.dumps({"schema": 1, "rules": [rule | {"targets": ["/**"], "access": ["*"]}]}).encode()
)
alice = Subject("alice")
allowed = 0
for number in range(20_000):
    decision = gate.decide(alice, "filesystem", "read", f"/file/{number}")
    if not decision.allowed:
        break
    allowed += 1
print(json.dumps({"allowed": allowed, "rule": decision.rule, "sequence": log.sequence}))
