"""What building C does beyond what every language does."""

from __future__ import annotations

import shutil
import uuid

import pytest

from airssys.authoring import BuildFailed, NoProject, build, new_project
from airssys.authoring.languages import c
from airssys.testing.components import component_under_test
from airssys.wasm import Engine, GuestError, LimitExceeded

pytestmark = pytest.mark.timeout(600)

OFFERS = """package local:greeter;

world greeter {
    import airssys:core/types@1.0.0;
    import airssys:core/host@1.0.0;
    import airssys:storage/store@1.0.0;
    export tidy: func(json: string) -> result<string, string>;
    export keep: func(key: string, value: string) -> result<string, string>;
}
"""
#: Reads any JSON and writes it again, through each function that reads and writes.
TIDIES = """
#include "airssys.h"

static void write(airssys_json *json, const char *name, airssys_value value) {
    const char *text;
    int64_t integer;
    double number;
    bool truth;
    airssys_value item = {0};
    if (airssys_get_text(value, NULL, &text)) airssys_put_text(json, name, text);
    else if (airssys_get_integer(value, NULL, &integer)) airssys_put_integer(json, name, integer);
    else if (airssys_get_number(value, NULL, &number)) airssys_put_number(json, name, number);
    else if (airssys_get_boolean(value, NULL, &truth)) airssys_put_boolean(json, name, truth);
    else if (airssys_is_list(value)) {
        airssys_put_list(json, name);
        while (airssys_next(value, &item)) write(json, NULL, item);
        airssys_end_list(json);
    } else if (airssys_is_object(value)) {
        airssys_put_object(json, name);
        while (airssys_next_field(value, &text, &item)) write(json, text, item);
        airssys_end_object(json);
    } else airssys_put_null(json, name);
}

bool exports_component_tidy(component_string_t *given, component_string_t *answer,
                            component_string_t *error) {
    size_t length = given->len;
    airssys_value value;
    bool done = airssys_parse(airssys_text(given), length, &value);
    if (done) {
        airssys_json json = {0};
        write(&json, NULL, value);
        airssys_format(answer, "%.*s", (int)json.length - 2, json.text + 2);
        airssys_drop(&json);
    } else {
        airssys_format(error, "%s", airssys_problem());
    }
    airssys_release();
    return done;
}

bool exports_component_keep(component_string_t *key, component_string_t *value,
                            component_string_t *answer, component_string_t *error) {
    const char *name = airssys_text(key), *bytes, *none;
    size_t size = value->len;
    bool was_there;
    bool done = airssys_storage_set(name, airssys_text(value), size) &&
                airssys_storage_get(name, &bytes, &size) &&
                airssys_storage_delete(name, &was_there) && airssys_storage_get(name, &none, &size);
    if (done) airssys_format(answer, "%s %d %d", bytes, was_there, none == NULL);
    else airssys_format(error, "%s", airssys_problem());
    airssys_release();
    return done;
}
"""


MANIFEST = """
schema = 1

[component]
name = "local/greeter"
version = "1.0.0"

[build]
language = "c"
world = "greeter"

[capabilities]
storage = [{ namespace = "self", access = ["read", "write", "delete"] }]
"""


@pytest.fixture(scope="module")
def tidier(shared_project):
    files = {"app.c": TIDIES, "wit/world.wit": OFFERS, "Component.toml": MANIFEST}
    folder = shared_project("c", files=files)
    with component_under_test(folder / "build" / "component.wasm") as component:
        yield component


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (' { "a" : [ 1 , true,false , null ] , "" : { } } ', '{"a":[1,true,false,null],"":{}}'),
        ("[[],[[]],{}]", "[[],[[]],{}]"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9.223372036854776e+18"),
        ("[0.1,-2.5e3]", "[0.1,-2500]"),
        (r'"\ud83e\udd80 \u00e9 \n \/ \\ \" \u0007"', r'"🦀 é \u000a / \\ \" \u0007"'),
        ('"žluťoučký 日本語 🦀"', '"žluťoučký 日本語 🦀"'),
    ],
)
def test_what_json_says_is_read_and_written(tidier, given, written):
    assert tidier.call("tidy", given) == written


NO_JSON = r"""
{ [1,] {"a"} {1:2} 01 1. .5 +1 1e tru nullx 1,2 " "\x" "\ud83e" "\udd80" "\u12g4" 'a' ["a":1]
"""


@pytest.mark.parametrize("given", ["", " ", '"a\nb"', "[" * 102 + "]" * 102, *NO_JSON.split()])
def test_what_is_no_json_is_refused(tidier, given):
    with pytest.raises(GuestError, match="no JSON"):
        tidier.call("tidy", given)


def test_storage_keeps_what_was_set(tidier):
    assert tidier.call("keep", "a/key", "its value") == "its value 1 1"
    with pytest.raises(GuestError, match="storage: "):
        tidier.call("keep", "no//key", "")


@pytest.mark.parametrize("template", ["function", "service"])
def test_the_same_source_gives_the_same_digest_in_another_place(project, tmp_path, template):
    folder = project("c", template)
    other = tmp_path / "a path with spaces" / "日本語"
    other.mkdir(parents=True)
    moved = other / "greeter"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("build"))
    assert build(moved, force=True).digest == build(folder, force=True).digest
    assert str(tmp_path).encode() not in (moved / "build" / "component.wasm").read_bytes()


def test_a_component_does_not_show_where_its_guest_library_is(tmp_path, monkeypatch):
    digests = set()
    for name in ("one", "another place"):
        library = tmp_path / name / "library"
        shutil.copytree(c.SDK, library)
        monkeypatch.setattr(c, "SDK", library)
        folder = new_project("greeter", language="c", template="http", into=tmp_path / name)
        digests.add(build(folder, force=True).digest)
    assert len(digests) == 1


def test_a_mistake_has_the_file_and_line_of_the_author(project):
    folder = project("c")
    (folder / "more.c").write_text("int one(void) {\n    return two;\n}\n")
    with pytest.raises(BuildFailed, match="the C compiler refused") as caught:
        build(folder)
    assert "more.c:2:12: error: use of undeclared identifier 'two'" in caught.value.__notes__[0]


def test_several_sources_make_one_component_and_warnings_are_told(project):
    folder = project("c")
    source = folder / "app.c"
    source.write_text(source.read_text().replace("bool exports", "int one(void);\nbool exports"))
    unseen = f"// {uuid.uuid4()}"  # the compiler tells of each source once
    (folder / "more.c").write_text(f"int one(void) {{\n    int two;\n    return 1;\n}}\n{unseen}\n")
    told = []
    build(folder, say=told.append)
    assert "more.c:2:9: warning: unused variable 'two'" in "".join(told)


def test_what_the_world_wants_and_no_source_has_is_named(project):
    for template, wanted in (
        ("function", "exports_component_greet"),
        ("service", r"AIRSSYS_ACTOR\(…\);"),
        ("http", r"AIRSSYS_HTTP\(…\);"),
    ):
        folder = project("c", template)
        (folder / "app.c").write_text('#include "airssys.h"\n')
        with pytest.raises(BuildFailed, match=f"no source has {wanted}; the world greeter wants"):
            build(folder)
        shutil.rmtree(folder)


def test_an_instance_begins_small_and_a_recursion_without_end_traps(project):
    folder = project("c")
    source = folder / "app.c"
    deep = "static int deep(volatile int n) { return n ? deep(n + 1) + n : n; }\nbool exports"
    text = source.read_text().replace("bool exports", deep)
    source.write_text(text.replace("bool greeted = *who;", "bool greeted = *who && deep(1);"))
    content = build(folder).component.read_bytes()
    assert Engine().load(content).memory_required < 2 << 20
    with component_under_test(folder / "build" / "component.wasm") as component:
        with pytest.raises(LimitExceeded, match="stack"):
            component.call("greet", "Ada")
        with pytest.raises(GuestError):
            component.call("greet", "")


def test_a_project_without_sources_says_so(project):
    folder = project("c")
    (folder / "app.c").unlink()
    with pytest.raises(NoProject, match=r"has no source; .*app\.c"):
        build(folder)
