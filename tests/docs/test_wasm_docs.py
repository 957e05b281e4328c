"""What the documents say is so: links lead somewhere, code runs, tables hold what is."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airssys.wasm import Limits
from airssys.wasm.limits import parse_bytes

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "components"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Pages of other packages are run by the tests of those packages.
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# The README has a test of its own.
RUN = [
    page
    for page in (
        *sorted((ROOT / "docs" / "adr").glob("*.md")),
        ROOT / "docs/concepts/architecture.md",
        ROOT / "docs/concepts/components.md",
        ROOT / "docs/concepts/security.md",
        ROOT / "docs/guides/run-component-actors.md",
        ROOT / "docs/guides/contracts.md",
        ROOT / "docs/guides/embed-components.md",
        ROOT / "docs/guides/http.md",
        ROOT / "docs/guides/interface-templates.md",
        *sorted((ROOT / "docs" / "guides").glob("rollout*.md")),
        ROOT / "docs/guides/scripts.md",
        ROOT / "docs/guides/storage.md",
        ROOT / "docs/guides/running-a-server.md",
        ROOT / "docs/guides/messages-and-codecs.md",
        ROOT / "docs/guides/reading-the-audit-log.md",
        ROOT / "docs/guides/writing-a-manifest.md",
        ROOT / "docs/guides/signed-components.md",
        ROOT / "docs/guides/streams.md",
        ROOT / "docs/reference/limits.md",
        ROOT / "docs/reference/manifest.md",
        ROOT / "docs/reference/platforms.md",
    )
    if BLOCK.search(page.read_text("utf-8"))
]


def relative(path):
    return str(path.relative_to(ROOT))


def anchors(page):
    """The fragments that a page's headings answer to."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {title.strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(page):
    for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link}: outside the project"
        if fragment:
            assert fragment in anchors(target), f"{link}: no such heading"


def run_tool(*arguments, directory=ROOT):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", RUN, ids=relative)
def test_code_runs(page, tmp_path):
    """The Python blocks of a page are one program, beside the components of this project."""
    for component in BUILT.glob("*.wasm"):
        (tmp_path / component.name).symlink_to(component)
    code = "\n".join(BLOCK.findall(page.read_text("utf-8")))
    run_tool("-W", "error", "-c", code, directory=tmp_path)


def test_the_guide_quotes_guests_that_are_built():
    page = (ROOT / "docs/guides/component-actors.md").read_text("utf-8")
    quoted = re.findall(r"^```(rust|py|js|wit)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert {language for language, _ in quoted} == {"rust", "py", "js", "wit"}
    endings = {"rust": "*.rs", "py": "app.py", "js": "app.js", "wit": "*.wit"}
    for language, text in quoted:
        files = (ROOT / "components").rglob(endings[language])
        assert any(text in file.read_text("utf-8") for file in files), text


def test_the_readme_prints_what_it_says():
    run_tool(ROOT / "tools/readme_example.py")


def test_the_table_of_limits_is_the_class():
    page = (ROOT / "docs/reference/limits.md").read_text("utf-8")
    table = page.partition("## Limits of an instance")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", table, re.MULTILINE))
    fields = {field.name: field.default for field in dataclasses.fields(Limits) if field.init}
    assert {name: parse(listed[name]) for name in listed} == {
        name: parse(str(default)) for name, default in fields.items()
    }


def parse(text):
    if text in {"True", "False"}:
        return text
    return parse_bytes(text) if re.search(r"[a-zA-Z]", text) else float(text)


def test_the_reference_of_the_control_api_is_current():
    run_tool(ROOT / "tools/api_reference.py", "--check")


def test_the_command_line_reference_is_current():
    run_tool(ROOT / "tools/cli_reference.py", "--check")


def test_the_reference_of_the_guest_libraries_is_current():
    run_tool(ROOT / "tools/sdk_reference.py", "--check")


def test_the_reference_of_the_configuration_is_current():
    run_tool(ROOT / "tools/config_reference.py", "--check")
