"""What names lead to, and that a name that moves gives no way in: with a hosts file of our own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from wasi_names import INSIDE, ROUTABLE

SCRIPT = Path(__file__).with_name("wasi_names.py")
OWN = ["unshare", "--map-root-user", "--mount"]


def test_a_name_that_leads_inside_or_moves_there_gives_no_way_in(tmp_path: Path) -> None:
    if subprocess.run([*OWN, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no mount namespace, which a hosts file of our own needs")
    ran = subprocess.run(
        [*OWN, sys.executable, str(SCRIPT), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    told = json.loads(ran.stdout)
    port = told["port"]
    outcomes = dict(told["outcomes"])
    for name in INSIDE:
        assert outcomes.pop(f"http {name}") == "err:HttpRequestDenied"
        # To a socket the unspecified address is none to connect to: there is nothing to decide.
        error = "InvalidInput" if name == "zero.example" else "PermissionDenied"
        assert outcomes.pop(f"open-connection {name}:{port}") == error
    assert outcomes == {
        "look-up moves.example": [ROUTABLE],
        f"open-connection 127.0.0.1:{port}": "PermissionDenied",
        f"open-connection moves.example:{port}": "PermissionDenied",
    }
    assert told["reached"] == []
    expected = []
    for name in INSIDE:
        target = f"{name}:{port}"
        expected.append(["network.connect", target, "address-not-allowed"])
        if name != "zero.example":
            expected.append(["network.connect", target, "default-deny"])
    expected.append(["network.connect", f"127.0.0.1:{port}", "default-deny"])
    expected.append(["network.connect", f"moves.example:{port}", "default-deny"])
    assert told["denied"] == expected
