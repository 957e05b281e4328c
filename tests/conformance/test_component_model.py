"""The reference tests of the component model, through `Engine`, `Component` and `Instance`."""

from __future__ import annotations

import pytest

from airssys.wasm import Engine

from . import suites, wast_script

SUITE = suites.described("component-model")

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]


def test_reference_tests_fail_only_where_expected(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = suites.located(SUITE, tmp_path_factory.mktemp("suite"))
    engine = Engine(cache=None)
    passed, blocked, failed = 0, 0, {}
    files = sorted(folder.rglob("*.wast"))
    assert files, f"no .wast file under {folder}"
    for file in files:
        name = file.relative_to(folder).as_posix()
        outcome = wast_script.run(engine, file)
        passed += outcome.passed
        blocked += outcome.blocked
        failed |= {f"{name}:{line}": what for line, what in outcome.failed.items()}
    with capsys.disabled():
        print(
            f"\n{SUITE.repository} {SUITE.commit[:12]}: {len(files)} scripts, {passed} directives"
            f" pass, {len(failed)} fail, {blocked} cannot run because of those"
        )
    suites.check(SUITE, failed)
