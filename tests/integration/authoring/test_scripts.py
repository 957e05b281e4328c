"""Scripts: one file is deployed as it is, and is a revision like any other."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from airssys.authoring import script
from airssys.authoring.loaders import loader, loader_name
from airssys.rt import ActorFailed
from airssys.wasm import (
    Canary,
    ComponentTooLarge,
    GuestError,
    Host,
    LimitExceeded,
    Limits,
    StorageSettings,
    UnknownExport,
)
from airssys.wasm.manifest import ManifestError
from airssys.wasm.scripts import LoaderMissing, ScriptError
from airssys.wasm.scripts.loaders import PACKAGE, find_loader

pytestmark = pytest.mark.timeout(600)  # the first one builds the loader

GREETER = '''"""Greets."""


def greet(name: str, *, loud: bool = False) -> str:
    """Greet somebody."""
    print("greeting", name)
    return name.upper() if loud else f"Hello, {name}!"


def divide(one: int, other: int) -> float:
    return one / other


def _hidden() -> None: ...
'''


JAVASCRIPT = """// greets
export function greet(name, loud = false, mark = "!") {
  console.log("greeting", name);
  const text = new TextDecoder().decode(new TextEncoder().encode(name));
  return loud ? text.toUpperCase() : `Hello, ${text}${mark}`;
}

export const twice = (x) => 2 * x;

export function fail(n) {
  return n.wrong.place;
}

function hidden() {}
"""
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


@pytest.fixture
def host(tmp_path):
    with Host.open_blocking(tmp_path / "state", storage=StorageSettings(in_memory=True)) as host:
        yield host


@pytest.fixture
def file(tmp_path):
    """Write a script and return what is deployed of it."""

    def made(source, name="handler.py"):
        path = tmp_path / name
        path.write_text(source, "utf-8")
        return script(path)

    return made


def test_a_file_is_deployed_and_called(host, file):
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    assert greeter.call("greet", "Ada") == "Hello, Ada!"
    assert greeter.call("greet", "Ada", loud=True) == "ADA"
    assert greeter.api.greet(name="Ada") == "Hello, Ada!"
    assert greeter.exports == ["greet", "divide"]
    assert [line.message for line in greeter.logs()] == ["greeting Ada"] * 3


async def test_it_is_awaited_too(tmp_path, file):
    async with Host.open(tmp_path / "s", storage=StorageSettings(in_memory=True)) as host:
        greeter = await host.deploy(file(GREETER), name="acme/greeter")
        assert await greeter.call("greet", "Ada") == "Hello, Ada!"
        assert await greeter.api.divide(3, 2) == 1.5
        with pytest.raises(ScriptError, match=r"handler\.py:11: ZeroDivisionError"):
            await greeter.call("divide", 1, 0)


def test_what_it_raises_has_file_and_line(host, file):
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    with pytest.raises(ScriptError) as caught:
        greeter.call("divide", 1, 0)
    assert str(caught.value) == "handler.py:11: ZeroDivisionError: division by zero"
    assert caught.value.line == 11
    assert 'File "handler.py", line 11, in divide' in caught.value.trace
    assert "return one / other" in caught.value.trace
    assert greeter.call("divide", 4, 2) == 2.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Ada",), "missing a required argument: 'other'"),
        ((1, "two"), "other is str, expected int"),
        ((1, 2, 3), "too many positional arguments"),
    ],
)
def test_arguments_are_checked_against_the_annotations(host, file, arguments, told):
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    with pytest.raises(ScriptError, match=told) as caught:
        greeter.call("divide", *arguments)
    assert caught.value.kind == "arguments"


def test_what_is_no_function_of_it_is_told_with_the_nearest(host, file):
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    for name in ("gret", "_hidden", "print"):
        with pytest.raises(UnknownExport, match=f"no function '{name}'"):
            greeter.call(name)


def test_what_is_no_json_is_refused_on_the_way_in_and_out(host, file):
    greeter = host.deploy(file("def give():\n    return {1j}\n"), name="acme/greeter")
    with pytest.raises(TypeError, match="arguments of scripts are JSON"):
        greeter.call("give", object())
    with pytest.raises(ScriptError, match="give returned what JSON has not") as caught:
        greeter.call("give")
    assert caught.value.kind == "result"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\nraise ValueError('no')\n", r"handler\.py:2: ValueError: no"),
        ("def f(:\n", r"handler\.py:1: SyntaxError"),
        ("import numpy\n", r"handler\.py:1: ModuleNotFoundError: No module named 'numpy'"),
        ("import sys\nsys.exit(3)\n", r"handler\.py:2: SystemExit: 3"),
        ("def f():\n    f()\nf()\n", r"handler\.py:2: RecursionError"),
    ],
)
def test_one_that_raises_when_it_begins_is_refused_and_what_was_stays(host, file, source, told):
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    with pytest.raises(ScriptError, match=told):
        host.deploy(file(source), name="acme/greeter")
    assert greeter.revision.number == 1
    assert greeter.call("greet", "Ada") == "Hello, Ada!"


def test_one_that_loops_meets_its_limit_and_the_others_go_on(host, file):
    short = Limits(cpu_per_call=0.2)
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    with pytest.raises(LimitExceeded):
        host.deploy(file("while True:\n    pass\n"), name="acme/looping", limits=short)
    looping = host.deploy(
        file("def run():\n    while True:\n        pass\n"), name="acme/looping", limits=short
    )
    with pytest.raises(LimitExceeded):
        looping.call("run")
    assert greeter.call("greet", "Ada") == "Hello, Ada!"


def test_one_that_takes_too_much_memory_is_told_so(host, file):
    hungry = host.deploy(file("def eat():\n    return len(b'x' * (1 << 30))\n"), name="acme/hungry")
    with pytest.raises(LimitExceeded, match="'memory'"):
        hungry.call("eat")


def test_one_that_is_too_large_is_refused_before_it_is_read(file):
    with pytest.raises(ComponentTooLarge, match=r"a script has 1048576 at most"):
        file("#" * (1 << 20) + "\n")


def test_calls_do_not_see_each_other(host, file):
    source = "seen = []\n\ndef see(x: int) -> list[int]:\n    seen.append(x)\n    return seen\n"
    each = host.deploy(file(source), name="acme/each")
    assert [each.call("see", 1), each.call("see", 2)] == [[1], [2]]
    kept = host.deploy(file(source), name="acme/kept", lifetime="pooled", instances=1)
    assert [kept.call("see", 1), kept.call("see", 2)] == [[1], [1, 2]]


def test_it_reads_only_what_it_was_granted(host, file, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "in.txt").write_text("inside")
    source = """# /// component
# [capabilities]
# filesystem = [{ path = "/data/**", access = ["read"] }]
# ///
def read() -> str:
    with open("/data/in.txt") as file:
        return file.read()
"""
    mounts = {"/data": data}
    reader = host.deploy(file(source), name="acme/reader", mounts=mounts)
    with pytest.raises(ScriptError, match=r"handler\.py:6: .*Error"):
        reader.call("read")
    reader.grant(why="test")
    assert reader.call("read") == "inside"


def test_the_manifest_in_it_has_places_of_its_own_file(file, tmp_path):
    with pytest.raises(ManifestError, match=r"handler\.py:3:4: .*`nedds`"):
        file("# first\n# /// component\n# [nedds]\n# ///\n")
    with pytest.raises(ManifestError, match=r"handler\.py:3:7: "):
        file("# first\n# /// component\n# a = = 1\n# ///\n")
    with pytest.raises(ManifestError, match=r"handler\.py:1:1: the manifest has no end"):
        file("# /// component\n# [needs]\n\ndef f(): ...\n")
    path = tmp_path / "latin.py"
    path.write_bytes(b"x = 1\ny = '\xe9'\n")
    with pytest.raises(ManifestError, match=r"latin\.py:2:6: .*UTF-8"):
        script(path)


ACTOR = """# /// component
# [component]
# name = "acme/counter"
# version = "1.0.0"
# [instance]
# lifetime = "actor"
# [state]
# hand_over = "snapshot"
# ///
from airssys_component import actor, handles


@actor()
class Counter:
    count: int = 0

    @handles("add")
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count

    @handles("fail")
    def fail(self) -> None:
        raise ValueError("no")
"""


def test_an_actor_keeps_its_state_over_revisions(host, file):
    counter = host.deploy(file(ACTOR), name="acme/counter")
    assert counter.actor().ask({"add": 2}) == 2
    counter.deploy(file(ACTOR.replace("+= amount", "+= 10 * amount")))
    assert counter.revision.number == 2
    assert counter.actor().ask({"add": 2}) == 22
    with pytest.raises(ActorFailed):
        counter.actor().ask("fail")


def test_a_canary_of_one_shares_the_calls_and_is_promoted(host, file):
    greeter = host.deploy(file(GREETER), name="acme/greeter")
    other = file(GREETER.replace("Hello", "Good day"))
    rollout = greeter.deploy(other, strategy=Canary(steps=(50,)), wait=False)
    answers = {greeter.call_for(str(key), "greet", "Ada") for key in range(40)}
    assert answers == {"Hello, Ada!", "Good day, Ada!"}
    rollout.promote()
    assert greeter.call("greet", "Ada") == "Good day, Ada!"
    greeter.rollback()
    assert greeter.call("greet", "Ada") == "Hello, Ada!"


def test_one_that_raises_more_than_the_live_one_is_taken_back(host, file):
    greeter = host.deploy(file(GREETER), name="acme/greeter", lifetime="pooled")
    bad = GREETER.replace("return one / other", "raise KeyError(one)")
    canary = Canary(steps=(50,), step_duration=0.0)
    rollout = greeter.deploy(file(bad), strategy=canary, wait=False)
    failed = 0
    while rollout.status().state == "running":
        try:
            greeter.call("divide", 1, 2)
        except ScriptError:
            failed += 1
    assert failed
    assert rollout.status().state == "taken-back"
    assert greeter.statistics().failures == failed
    with pytest.raises(ScriptError, match="too many"):  # the caller's fault
        greeter.call("divide", 1, 2, 3)
    assert greeter.statistics().failures == failed


def test_it_is_there_after_a_restart_without_the_cache(tmp_path, file, monkeypatch):
    state = tmp_path / "state"
    with Host.open_blocking(state) as host:
        host.deploy(file(GREETER), name="acme/greeter")
    code = file(GREETER)
    monkeypatch.setattr("airssys.wasm.scripts.loaders._loaded", {})
    monkeypatch.setattr("airssys.wasm.scripts.loaders.loader_folders", lambda: ())
    with Host.open_blocking(state) as host:
        assert host.deployment("acme/greeter").call("greet", "Ada") == "Hello, Ada!"
    monkeypatch.setattr("airssys.wasm.scripts.loaders._loaded", {})
    refused = pytest.raises(LoaderMissing, match="not on this machine")
    with Host.open_blocking(tmp_path / "other") as host, refused:
        host.deploy(code, name="acme/greeter")


@pytest.fixture
def installed(tmp_path):
    """What an installed package has: the loaders, and what they are for."""
    package = tmp_path / "site" / PACKAGE
    package.mkdir(parents=True)
    for language in ("python", "javascript"):
        digest = loader(language)
        (package / find_loader(digest).name).symlink_to(find_loader(digest))
        (package / loader_name(language)).write_text(digest)
    return package


@pytest.fixture
def bare(airssys, tmp_path, installed):
    """Run the command line on a machine with no tools and an empty cache."""

    def run(*arguments):
        paths = os.pathsep.join([str(installed.parent), *filter(None, sys.path)])
        cache, nothing = str(tmp_path / "cache"), str(tmp_path / "nothing")
        return airssys(*arguments, PATH=nothing, XDG_CACHE_HOME=cache, PYTHONPATH=paths)

    return run


@needs_node
def test_an_installed_loader_needs_no_tools(bare, tmp_path):
    path = tmp_path / "handler.js"
    path.write_text(JAVASCRIPT)
    deployed = bare("deploy", path, "--name", "acme/greeter")
    assert deployed.returncode == 0, deployed.stderr
    assert bare("call", "acme/greeter", "twice(21)").stdout == "42\n"
    assert not (tmp_path / "cache" / "airssys" / "loaders").exists()


@needs_node
def test_the_loader_of_another_version_is_left_alone(bare, tmp_path, installed):
    name = installed / loader_name("javascript")
    name.rename(name.with_name("javascript-of-another-version"))
    path = tmp_path / "handler.js"
    path.write_text(JAVASCRIPT)
    refused = bare("deploy", path, "--name", "acme/greeter")
    assert refused.returncode != 0
    assert "no node on PATH" in refused.stderr
    assert "pip install 'airssys[scripts]'" in refused.stderr


def test_the_command_line_deploys_calls_and_tells_errors(airssys, tmp_path):
    path = tmp_path / "a folder" / "größe.py"
    path.parent.mkdir()
    path.write_text(GREETER, "utf-8")
    unnamed = airssys("deploy", path)
    assert unnamed.returncode == 2
    assert "--name is needed" in unnamed.stderr
    deployed = airssys("deploy", path, "--name", "acme/greeter", "--json")
    assert deployed.returncode == 0, deployed.stderr
    assert json.loads(deployed.stdout)["live"]["number"] == 1
    assert airssys("call", "acme/greeter", 'greet("Ada")').stdout == '"Hello, Ada!"\n'
    failed = airssys("call", "acme/greeter", "divide(1, 0)")
    assert failed.returncode == 5
    assert (
        failed.stderr.splitlines()[0] == "error: größe.py:11: ZeroDivisionError: division by zero"
    )


@needs_node
def test_javascript_is_deployed_and_called(host, file):
    greeter = host.deploy(file(JAVASCRIPT, "handler.js"), name="acme/greeter")
    assert greeter.exports == ["greet", "twice", "fail"]
    assert greeter.call("greet", "Ädä") == "Hello, Ädä!"
    assert greeter.call("greet", name="Ada", mark="?") == "Hello, Ada?"
    assert greeter.call("twice", 4) == 8
    assert [line.message for line in greeter.logs()] == ["greeting Ädä", "greeting Ada"]
    with pytest.raises(ScriptError, match=r"handler\.js:11: TypeError: ") as caught:
        greeter.call("fail", {})
    assert "at fail (handler.js:11" in caught.value.trace
    with pytest.raises(UnknownExport, match="no function 'hidden'"):
        greeter.call("hidden")


@needs_node
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("export let x = ;", r"handler\.js:1: SyntaxError"),
        ("\nimport x from 'y';", r"handler\.js:2: SyntaxError: a script cannot import here"),
        ("\n\nnull.f();", r"handler\.js:3: TypeError"),
        ("throw 'a text';", r"handler\.js: string: a text"),
    ],
)
def test_javascript_that_throws_when_it_begins_is_refused(host, file, source, told):
    with pytest.raises(ScriptError, match=told):
        host.deploy(file(source, "handler.js"), name="acme/greeter")


@needs_node
def test_javascript_that_loops_meets_its_limit(host, file):
    source = "// /// component\n// [needs]\n// cpu_per_call = '200ms'\n// ///\nfor (;;) {}\n"
    with pytest.raises(LimitExceeded):
        host.deploy(file(source, "handler.js"), name="acme/greeter")


def test_scripts_of_a_host_leave_each_other_alone(host, file):
    """A small one of the run in `make soak`."""
    good = [
        host.deploy(file(f"def number() -> int:\n    return {n}\n"), name=f"acme/good-{n}")
        for n in range(12)
    ]
    bad = host.deploy(
        file("def crash():\n    raise SystemError\n\ndef eat():\n    return 'x' * (1 << 31)\n"),
        name="acme/bad",
    )
    for n, each in enumerate(good):
        with pytest.raises((ScriptError, GuestError)):
            bad.call("crash" if n % 2 else "eat")
        assert each.call("number") == n


@pytest.mark.parametrize(("name", "told"), [("Bad", "'Bad'"), (None, "does not say its name")])
def test_a_name_is_checked_before_a_loader_is_built(airssys, tmp_path, name, told):
    (tmp_path / "handler.py").write_text("def greet() -> str:\n    return 'hello'\n")
    named = () if name is None else ("--name", name)
    empty = str(tmp_path / "no cache")
    done = airssys("deploy", "handler.py", *named, XDG_CACHE_HOME=empty)
    assert done.returncode == 2
    assert told in done.stderr
    assert "building what runs scripts" not in done.stderr
