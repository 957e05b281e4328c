"""The code of each page runs, from top to bottom, in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(DOCS.glob("*/osl*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_code_runs(page, tmp_path):
    blocks = BLOCK.findall(page.read_text())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_four_parts_exist():
    parts = {page.parent.name for page in PAGES}
    assert parts == {"tutorials", "guides", "concepts", "reference"}


def test_tests_that_the_docs_name_exist():
    sources = "".join(path.read_text() for path in Path(__file__).parents[2].rglob("osl/*.py"))
    for page in PAGES:
        for name in re.findall(r"`(test_\w+)`", page.read_text()):
            assert f"def {name}(" in sources, name
        for name in re.findall(r"`(test_\w+\.py)`", page.read_text()):
            assert Path(__file__).with_name(name).exists(), name


def test_the_reference_has_every_operation():
    from airssys.osl import operations

    listed = set(
        re.findall(r"^\| `(\w+\.\w+)` \|", (DOCS / "reference/osl.md").read_text(), re.MULTILINE)
    )
    own = {name for name in operations() if name.partition(".")[0] not in {"test", "benchmark"}}
    assert listed == own
