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
    engine = Engine()
    passed, unexpected, met = 0, {}, set()
    files = sorted(folder.rglob("*.wast"))
    assert files, f"no .wast file under {folder}"
    for file in files:
        name = file.relative_to(folder).as_posix()
        outcome = wast_script.run(engine, file)
        passed += outcome.passed
        for line, reason in outcome.failed.items():
            known = {name, f"{name}:{line}"} & SUITE.failures.keys()
            if known:
                met |= known
            else:
                unexpected[f"{name}:{line}"] = reason
    failed = len(unexpected) + len(met)
    with capsys.disabled():
        print(f"\n{len(files)} scripts: {passed} directives pass, {failed} places fail")
    stale = SUITE.failures.keys() - met
    assert not unexpected, "\n".join(f"{place}: {what}" for place, what in unexpected.items())
    assert not stale, f"expected to fail, but pass: {sorted(stale)}"
