"""The tables that promise a test, for each attack and each promise, name tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/attacks.md").read_text("utf-8")
PROMISES = (ROOT / "docs/concepts/delivery.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|crates)/[^`:]+)::(\w+)`", PAGE + PROMISES)))


def test_every_attack_has_a_test():
    rows = [line for line in PAGE.splitlines() if re.match(r"\| (?!attack|---)", line)]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"`(tests|crates)/\S+::\w+` \|$", row)] == []


@pytest.mark.parametrize(("file", "test"), NAMED, ids="::".join)
def test_the_test_is_there(file, test):
    text = (ROOT / file).read_text("utf-8")
    assert re.search(rf"^\s*(async )?(def|fn) {test}\(", text, re.MULTILINE)
