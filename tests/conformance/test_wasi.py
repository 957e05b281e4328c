"""The WASI test suite, each case a command in a process of its own.

Its components for WASI 0.3 run as they are. Its modules for preview 1 become components of WASI 0.2
by the standard adapter, which is how a preview 1 program runs on a component host.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from . import suites, wasi_case

SUITE = suites.described("wasi")
ADAPTER = Path(__file__).parent.parent.parent / "tools" / "preview1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airssys" / "guests"

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suites.located(SUITE, tmp_path_factory.mktemp("wasi"))


@pytest.fixture(scope="module")
def adapter() -> Path:
    """The tool that makes components of preview 1 modules, built when it is needed."""
    target = CACHE / "target"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--target-dir", str(target)]
    subprocess.run([*command, "--manifest-path", str(ADAPTER / "Cargo.toml")], check=True)
    return target / "release" / "preview1"


def test_wasi_0_3_fails_only_where_expected(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [
        wasi_case.read(file, file.parent / f"{file.stem}.json", _named(file))
        for file in sorted(folder.glob("*/testsuite/wasm32-wasip3/*.wasm"))
    ]
    _check(cases, tmp_path, capsys, "wasm32-wasip3")


def test_wasi_0_2_fails_only_where_expected(
    folder: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = []
    for file in sorted(folder.glob("*/testsuite/wasm32-wasip1/*.wasm")):
        component = tmp_path / _named(file).replace("/", "-")
        subprocess.run([adapter, file, component], check=True)
        cases.append(wasi_case.read(component, file.parent / f"{file.stem}.json", _named(file)))
    _check(cases, tmp_path, capsys, "wasm32-wasip1")


def _named(file: Path) -> str:
    """Name a case by its language and file: `rust/fd_readdir`."""
    return f"{file.parent.parent.parent.name}/{file.stem}"


def _check(
    cases: list[wasi_case.Case], scratch: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    assert cases, f"no {part} component in the suite"
    failed = {}
    for number, case in enumerate(cases):
        place = scratch / str(number)
        place.mkdir()
        try:
            wasi_case.Execution(case, place).run()
        except (wasi_case.CaseFailedError, OSError) as error:
            failed[f"{part}/{case.name}"] = str(error)
    with capsys.disabled():
        passed = len(cases) - len(failed)
        print(f"\n{SUITE.repository} {SUITE.commit[:12]}, {part}: {passed} of {len(cases)} pass")
    suites.check(SUITE, failed, f"{part}/")
