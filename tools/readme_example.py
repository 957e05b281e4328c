"""Run the Python of the README and compare what it prints with what the README says.

Usage: `python tools/readme_example.py [--python PROGRAM]`.

What a line prints stands behind it as `# -> …`. The interpreter that is named runs the code in an
empty folder, with nothing of this tree on its path.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PRINTS = re.compile(r"# -> (.+)$", re.MULTILINE)


def main() -> int:
    """Run the command line; 1 when the example fails or prints something else."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, metavar="PROGRAM")
    program = parser.parse_args().python
    code = "\n".join(BLOCK.findall(README.read_text("utf-8")))
    expected = PRINTS.findall(code)
    if not expected:
        sys.stderr.write("error: no line of the README says what it prints (`# -> …`)\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="airssys-readme-") as directory:
        command = [program, "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    printed = done.stdout.splitlines()
    if done.returncode == 0 and printed == expected:
        return 0
    sys.stderr.write(f"{done.stderr}error: expected {expected}, got {printed}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
