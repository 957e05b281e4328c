"""The examples of component actors run by themselves and print what they are there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = {
    "chat_room": [
        "Ada joins and meets 0",
        "Bob joins and meets 1",
        "Ada says 'Hello, Bob.' to 2",
        "Eve is refused: ",
        "Bob heard Ada: Hello, Bob.",
        "Ada heard Bob: Hello, Ada.",
    ],
    "stateful_counter": [
        "and one: 42",
        "dividing by zero: ActorFailed",
        "what waited behind it: 43",
        "with the next host: 43",
    ],
    "three_languages": [
        "stored 2",
        "refused line 3: no `;` between name and amount",
        "refused line 4: a lot is no amount",
        "12.50 by way of keeper (Python), transformer (JavaScript), asker (Rust)",
    ],
}


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_shows_what_it_says(name: str, tmp_path: Path) -> None:
    if name == "three_languages" and not (ROOT / "build/components/transformer-js.wasm").exists():
        pytest.skip("the JavaScript guest is not built: it needs Node.js")
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in SHOWN[name]:
        assert line in done.stdout
