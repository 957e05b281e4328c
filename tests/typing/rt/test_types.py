"""The public types under mypy strict and basedpyright strict."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WRONG = {
    number
    for number, line in enumerate((HERE / "wrong.py").read_text().splitlines(), 1)
    if line.endswith("# wrong")
}


@pytest.mark.timeout(180)
def test_mypy_strict() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    result = subprocess.run(
        [*command, str(HERE / "right.py"), str(HERE / "wrong.py")],
        cwd=ROOT / "python",
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r"(right|wrong)\.py:(\d+): error", result.stdout)
    assert {(name, int(line)) for name, line in errors} == {("wrong", line) for line in WRONG}, (
        result.stdout + result.stderr
    )


@pytest.mark.timeout(180)
def test_basedpyright_strict(tmp_path: Path) -> None:
    settings = {
        "include": [str(HERE / "right.py"), str(HERE / "wrong.py")],
        "extraPaths": [str(ROOT / "python")],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    result = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(result.stdout)["generalDiagnostics"]
    errors = {
        (Path(one["file"]).stem, one["range"]["start"]["line"] + 1)
        for one in found
        if one["severity"] == "error"
    }
    assert errors == {("wrong", line) for line in WRONG}, result.stdout
