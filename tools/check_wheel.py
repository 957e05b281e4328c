"""Check a wheel as a user would meet it: an empty environment, no Rust, the README's example.

Usage: `python tools/check_wheel.py [WHEEL]`; the newest in `dist/` by default.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each must be in the wheel: what runs, what types it, and what the licences ask for.
CONTENTS = (
    "airssys/_core.abi3.so",
    "airssys/_core.pyi",
    "airssys/py.typed",
    "airssys/authoring/contract/core/types.wit",
    "airssys/authoring/loader-sources/python/app.py",
    "airssys/authoring/loader-sources/wit/deps/cli/cli.wit",
    "airssys/authoring/pins/javascript/package-lock.json",
    "airssys/authoring/sdk/javascript/src/actor.js",
    "airssys/authoring/sdk/python/airssys_component/actors.py",
    "airssys/authoring/sdk/rust/wit/core/types.wit",
    "airssys/authoring/templates/function/python/app.py.in",
    "licenses/LICENSE",
    "licenses/THIRD-PARTY-NOTICES.txt",
)
BUILDERS = ("rustc", "cargo", "cc", "node", "npm")
# Each is deployed as it is, by the loaders of the second wheel.
SCRIPTS = {
    "handler.py": "def greet(name: str) -> str:\n    return f'Hello, {name}!'\n",
    "handler.js": "export function greet(name) { return `Hello, ${name}!`; }\n",
}


class WheelError(Exception):
    """Say in one line what is wrong with the wheel."""


def newest() -> Path:
    """Find the wheel that was built last."""
    wheels = sorted((ROOT / "dist").glob("airssys-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise WheelError("no wheel in dist/; `make wheel` builds one")
    return wheels[-1]


def check_contents(wheel: Path) -> None:
    """Look for what has to be inside."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for wanted in CONTENTS:
        if not any(name == wanted or name.endswith(f"/{wanted}") for name in names):
            raise WheelError(f"{wheel.name} holds no {wanted}")


def check_installed(wheel: Path) -> None:
    """Install it where there is nothing, and run what the README shows."""
    with tempfile.TemporaryDirectory(prefix="airssys-wheel-") as directory:
        home = Path(directory)
        venv.create(home / "venv", with_pip=True)
        programs = home / "venv" / "bin"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        environment |= {"PATH": str(programs), "XDG_CACHE_HOME": str(home / "cache")}
        for builder in BUILDERS:
            if shutil.which(builder, path=environment["PATH"]):
                raise WheelError(f"{builder} is on the PATH of the empty environment")

        def run(*command: str) -> str:
            done = subprocess.run(
                command, env=environment, cwd=home, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise WheelError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
            return done.stdout

        python = str(programs / "python")
        install = (python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:")
        run(*install, str(wheel))
        run(python, str(ROOT / "tools" / "readme_example.py"), "--python", python)
        airssys = str(programs / "airssys")
        print(run(airssys, "--version").strip())
        run(*install, "--find-links", str(wheel.parent), f"{wheel}[scripts]")
        for name, source in SCRIPTS.items():
            (home / name).write_text(source)
            run(airssys, "deploy", name, "--name", "acme/greeter")
            answer = run(airssys, "call", "acme/greeter", 'greet("Ada")').strip()
            if answer != '"Hello, Ada!"':
                raise WheelError(f"{name} answered {answer}")


def main() -> int:
    """Run the command line; 1 when the wheel is not fit."""
    try:
        wheel = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else newest()
        check_contents(wheel)
        check_installed(wheel)
    except WheelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB, installs and runs without Rust")
    return 0


if __name__ == "__main__":
    sys.exit(main())
