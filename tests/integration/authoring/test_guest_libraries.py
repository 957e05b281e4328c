"""The guest libraries of all languages: one guest, the same tests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from airssys.rt import ActorFailed
from airssys.testing.components import component_under_test, deployed
from airssys.testing.tables import run_cases
from airssys.wasm import Host, StorageSettings

HERE = Path(__file__).parent / "conformance"
SOURCES = {
    "python": ("python3", "app.py", HERE / "app.py"),
    "rust": ("cargo", "src/lib.rs", HERE / "lib.rs"),
    "javascript": ("node", "app.js", HERE / "app.js"),
    "c": ("python3", "app.c", HERE / "app.c"),
}
JAVASCRIPT = Path(__file__).parents[3] / "sdk" / "javascript" / "src"

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(params=SOURCES, scope="module")
def guest(shared_project, request):
    """The conformance guest in one language."""
    language = request.param
    program, name, source = SOURCES[language]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    files = {name: source.read_text("utf-8"), "Component.toml": manifest(language)}
    if language == "rust":
        files["Cargo.toml"] = cargo()
    return shared_project(language, "service", files) / "build" / "component.wasm"


def manifest(language: str) -> str:
    return f"""
schema = 1

[component]
name = "local/greeter"
version = "1.0.0"

[build]
language = "{language}"
world = "greeter"

[instance]
lifetime = "actor"

[state]
hand_over = "snapshot"

[config]
start = {{ type = "integer", default = 0 }}

[capabilities]
messaging = [
    {{ subscribe = "conformance.told.*" }},
    {{ publish = "conformance.said" }},
    {{ ask = "local/*" }},
]
"""


def cargo() -> str:
    return """
[package]
name = "greeter"
version = "0.1.0"
description = "conforms"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
airssys-component = "0.1"
log = "0.4"
serde = { version = "1", features = ["derive"] }
serde_json = "1"

[workspace]
"""


def test_the_same_tables_pass(guest):
    outcomes = list(run_cases(HERE / "conformance.toml", guest))
    assert outcomes
    assert [each for each in outcomes if each.problem] == []


def test_bodies_of_any_size_and_many_calls(guest):
    with component_under_test(guest) as subject:
        for size in (0, 1, 1000, 64 << 10, 500 << 10):
            text = "x" * size
            assert subject.ask({"echo": text}) == text
        for number in range(1, 301):
            assert subject.ask({"add": 1}) == number


def test_an_ask_of_another_actor_is_answered(guest):
    with component_under_test(guest) as subject:
        other = subject.stand_in("local/other", answer=lambda message: message["echo"].upper())
        assert subject.ask({"forward": {"to": "local/other", "text": "hello"}}) == "HELLO"
        other.assert_sent({"echo": "hello"})


def test_a_failure_ends_the_instance_and_another_one_answers(guest):
    with component_under_test(guest) as subject:
        with pytest.raises(ActorFailed):
            subject.ask("fail")
        assert subject.ask({"add": 1}) >= 1


def test_another_revision_goes_on_from_its_state(guest, tmp_path):
    with Host.open_blocking(tmp_path / "s", storage=StorageSettings(in_memory=True)) as host:
        assert deployed(host, guest).ask({"add": 7}) == 7
        later = tmp_path / "later.wasm"
        later.write_bytes(guest.read_bytes() + b"\0\x02\x01x")  # another digest: an empty section
        again = deployed(host, later)
        assert again.revision.number == 2
        assert again.ask({"add": 1}) == 8


def test_the_library_for_javascript_declares_what_it_exports():
    exported = re.findall(r"export \{(.*?)\}", (JAVASCRIPT / "index.js").read_text(), re.DOTALL)
    names = {name for group in exported for name in re.findall(r"\w+", group)}
    declarations = (JAVASCRIPT / "index.d.ts").read_text()
    declared = re.findall(r"^export (?:class|const|function) (\w+)", declarations, re.MULTILINE)
    assert {"actor", "ask", "Refused"} < names
    assert set(declared) == names
