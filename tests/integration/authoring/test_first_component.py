"""From nothing to a deployed component, by the command line, in each language."""

from __future__ import annotations

import json
import shutil

import pytest

from airssys.authoring.new import languages_of, templates

ALL = [(language, template) for template in templates() for language in languages_of(template)]
MOST_BOILERPLATE = 20


def needs(language: str) -> None:
    program = {"rust": "cargo", "python": "python3", "c": "python3"}.get(language, "node")
    if shutil.which(program) is None:
        pytest.skip(f"{language} needs {program}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("language", "template"), ALL)
def test_a_new_project_passes_its_own_tests(airssys, project, language, template):
    needs(language)
    folder = project(language, template)
    done = airssys("test", "--json", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["cases"]
    assert not any(case["problem"] for case in report["cases"])
    assert report["pytest"] == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", languages_of("function"))
def test_new_build_deploy_call_and_read_the_log(airssys, project, language):
    needs(language)
    folder = project(language)
    built = airssys("build", "--json", cwd=folder)
    assert built.returncode == 0, built.stderr
    report = json.loads(built.stdout)
    assert not report["changed"]
    deployed = airssys("deploy", "--json", cwd=folder)
    assert deployed.returncode == 0, deployed.stderr
    assert json.loads(deployed.stdout)["live"]["digest"] == report["digest"]
    called = airssys("call", "local/greeter", 'greet("Ada")', cwd=folder)
    assert called.stdout == 'ok("Hello, Ada!")\n'
    lines = [
        json.loads(line) for line in airssys("logs", "local/greeter", "--json").stdout.splitlines()
    ]
    assert [(line["message"], line["stream"], line["revision"]) for line in lines] == [
        ("greeting Ada", "stdout", 1)
    ]


@pytest.mark.parametrize(("language", "template"), ALL)
def test_there_is_little_boilerplate(tmp_path, language, template):
    from airssys.authoring import new_project
    from airssys.authoring.new import LANGUAGES

    folder = new_project("greeter", language=language, template=template, into=tmp_path)
    source = (folder / LANGUAGES[language]).read_text()
    assert len(around_bodies(source)) < MOST_BOILERPLATE, source


def around_bodies(source: str) -> list[str]:
    """The lines of code that are there whatever the functions do: all but their bodies."""
    lines, inside = [], None
    for line in source.splitlines():
        text = line.strip()
        if not text or text.startswith(("//", "#", '"""')):
            continue
        depth = len(line) - len(line.lstrip())
        if inside is not None and depth > inside:
            continue
        lines.append(line)
        is_function = text.startswith(("fn ", "def ", "export function ", "bool ", "static "))
        inside = depth if is_function else None
    return lines
