"""What the package carries of other folders: a link for each file, which a wheel holds as a file.

Tools that make wheels leave linked folders out.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import airssys.authoring

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "python" / "airssys" / "authoring"
#: What is built, and the package of loaders, which is a wheel of its own.
NOT_CARRIED = {"__pycache__", "target", "scripts"}


@pytest.mark.skipif(
    Path(airssys.authoring.__file__).parent != PACKAGE, reason="the package is not this tree's"
)
@pytest.mark.parametrize(("source", "target"), [("wit", "contract"), ("sdk", "sdk")])
def test_every_file_has_a_link(source, target):
    missing = []
    for folder, folders, files in os.walk(ROOT / source, followlinks=True):
        folders[:] = [each for each in folders if each not in NOT_CARRIED]
        for name in files:
            if name == "Cargo.lock":
                continue
            file = Path(folder, name)
            link = PACKAGE / target / file.relative_to(ROOT / source)
            if not link.is_symlink() or link.resolve() != file.resolve():
                missing.append(f"ln -s {os.path.relpath(file.resolve(), link.parent)} {link}")
    assert missing == []
