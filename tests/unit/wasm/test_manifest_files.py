"""Component.toml and airssys.toml: what is taken, and where an error points."""

from __future__ import annotations

import json

import pytest

from airssys.wasm.manifest import (
    ManifestError,
    canonical,
    effective,
    parse_component_manifest,
    parse_host_manifest,
    requested,
    rules_for,
)
from airssys.wasm.manifest.requests import requested_of, shown

COMPONENT = """\
schema = 1

[component]
name = "image/resizer"
version = "1.2.0"
keywords = ["images"]

[capabilities]
filesystem = [{ path = "/data/in/**", access = ["read", "list"], reason = "source images" }]
network = [{ connect = "db.internal:5432", transport = ["tcp"] }]
http = [{ host = "*.example.com", methods = ["GET"], path = "/v1/**" }, { host = "::1", port = 80 }]
storage = [{ namespace = "self", access = ["read", "write"] }]
messaging = [{ ask = "image/*" }, { publish = "images.done" }]
process = [{ spawn = "/usr/bin/convert", arguments = ["-resize", "**"] }]
environment = ["TZ"]
secrets = [{ name = "api_key", host = "api.example.com" }]

[needs]
memory = "64MiB"
call_timeout = "5s"

[instance]
lifetime = "actor"

[config]
greeting = { type = "string", default = "hello" }
size = { type = "integer" }

[state]
hand_over = "snapshot"

[dependencies]
"text/tokenizer" = "^1.0"
"""

HOST = """\
schema = 1

[host]
state = "./state"
maxima = { memory = "256MiB" }

[namespaces.image]
memory = "2GiB"

[deployments."image/resizer"]
source = "resizer.wasm"
limits = { memory = "128MiB", mailbox = 10 }
strategy = "canary"
steps = [1, 5, 25, 50]
config = { size = 3 }
"""


def test_requests_are_rules_of_the_one_vocabulary():
    manifest = parse_component_manifest(COMPONENT)
    asked = [(each.kind, each.access, each.target) for each in requested(manifest)]
    assert asked == [
        ("filesystem", ("read", "list"), "/data/in/**"),
        ("network", ("connect",), "db.internal:5432"),
        ("http", ("GET",), "https://*.example.com/v1/**"),
        ("http", ("GET",), "https://[::1]:80/**"),
        ("storage", ("read", "write"), "self/**"),
        ("messaging", ("ask",), "image/*"),
        ("messaging", ("publish",), "images.done"),
        ("process", ("spawn",), "/usr/bin/convert"),
        ("environment", ("read",), "TZ"),
        ("secret", ("use",), "api_key@https://api.example.com:443/authorization"),
    ]
    rules = json.loads(rules_for(manifest, "image/resizer"))["rules"]
    assert rules[0]["id"] == "capabilities.filesystem[0]"
    assert {rule["principals"][0] for rule in rules} == {"name:image/resizer"}


def test_the_same_said_in_another_way_is_canonically_the_same():
    manifest = parse_component_manifest(COMPONENT)
    # Defaults written out, another order, comments.
    other = COMPONENT.replace('version = "1.2.0"', 'license = ""  # none\nversion = "1.2.0"')
    other = other.replace('connect = "db.internal:5432", transport = ["tcp"]', "XX")
    other = other.replace("XX", 'transport = ["tcp"], connect = "db.internal:5432"')
    assert canonical(parse_component_manifest(other)) == canonical(manifest)
    changed = COMPONENT.replace("1.2.0", "1.2.1")
    assert canonical(parse_component_manifest(changed)) != canonical(manifest)


def component(old, new):
    assert old in COMPONENT
    return COMPONENT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (component("schema = 1", "schema = 2"), "1:1: Invalid enum value 2 at schema"),
        (component("[component]", "[komponent]"), "3:2: unknown key `komponent`; did you mean"),
        (component("keywords", "keyword"), "6:1: unknown key `keyword`; did you mean `keywords`?"),
        (component("image/resizer", "resizer"), "4:1: deployment name 'resizer' has no namespace"),
        (component("1.2.0", "1.2"), "5:1: '1.2' is no version; expected semver"),
        (component("reason =", "raeson ="), "9:66: unknown key `raeson`; did you mean `reason`?"),
        (component('"list"', '"lst"'), "9:15: `access`: `lst` is not an access of filesystem"),
        (component("/data/in", "data/in"), "9:15: `targets`: `data/in/**`: a path pattern is"),
        (component("/data/in/**", "/d[a]ta"), "9:15: `targets`: `/d[a]ta`"),
        (
            component('connect = "db.internal:5432"', 'connect = "a:1", listen = "b:2"'),
            "10:12: expected exactly one of connect, listen, resolve, found `connect` and `listen`",
        ),
        (
            component('{ ask = "image/*" }', '{ reason = "x" }'),
            "13:14: expected exactly one of send",
        ),
        (
            component("5432", "99999"),
            "10:12: `targets`: `db.internal:99999`: `99999` is not a port",
        ),
        (component('"64MiB"', '"64 megs"'), "19:1: expected bytes and a unit"),
        (component('lifetime = "actor"', 'lifetime = "for ever"'), "23:1: Invalid enum value"),
        (component('lifetime = "actor"', 'lifetime = "call"'), "30:1: only instances of lifetime"),
        (component('default = "hello"', "default = 3"), "26:31: the default 3 is no string"),
        (component('"^1.0"', '"newest"'), "33:1: expected versions, such as"),
        (component("text/tokenizer", "image/resizer"), "33:1: a component cannot depend on itself"),
        (COMPONENT + "[grants]\n", "34:2: unknown key `grants`"),
        (COMPONENT + "x = [1\n", "34:7: unclosed array"),
    ],
)
def test_a_wrong_component_manifest_names_file_line_and_column(text, message):
    with pytest.raises(ManifestError) as caught:
        parse_component_manifest(text, "C.toml")
    assert str(caught.value).startswith(f"C.toml:{message}"), caught.value
    assert caught.value.context["line"] == int(message.partition(":")[0])


def host(old, new):
    assert old in HOST
    return HOST.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (host("[namespaces.image]", "[namespaces.Image]"), "7:13: segment 'Image' of"),
        (host('"image/resizer"', '"resizer"'), "10:14: deployment name 'resizer' has no namespace"),
        (
            host("mailbox = 10", "mailbx = 10"),
            "12:31: unknown key `mailbx`; did you mean `mailbox`",
        ),
        (host("128MiB", "1GiB"), "12:12: 1GiB is above the host's maximum of 256MiB"),
        (host('"canary"', '"rolling"'), "14:1: only a canary has steps, not 'rolling'"),
        (host("[1, 5, 25, 50]", "[5, 1]"), "14:1: expected ascending percents, got [5, 1]"),
        (host("[1, 5, 25, 50]", "[0, 1]"), "14:10: Expected `int` >= 1 at deployments"),
        (host('"canary"', '"canary"\nenforcement = "observe"'), "14:1: 'observe' needs"),
        (host('"canary"', '"canary"\nenforcement = "learn"'), "14:1: Invalid enum value 'learn'"),
        (
            host("steps", 'supervision = { backoff = { min = "2m", max = "1s" } }\nsteps'),
            "14:17: `min` (2m) is above `max` (1s)",
        ),
        (host("steps", 'health = { timeout = "9s" }\nsteps'), "14:12: a check may not take longer"),
    ],
)
def test_a_wrong_host_manifest_names_file_line_and_column(text, message):
    with pytest.raises(ManifestError) as caught:
        parse_host_manifest(text, "a.toml")
    assert str(caught.value).startswith(f"a.toml:{message}"), caught.value


def test_what_a_deployment_gets_is_the_stricter_of_both_files():
    manifest, ours = parse_component_manifest(COMPONENT), parse_host_manifest(HOST)
    found = effective(manifest, "image/resizer", ours)
    assert found.memory == 128 << 20
    assert found.call_timeout == 30.0
    assert found.config == {"greeting": "hello", "size": 3}


def test_what_the_operator_opens_to_a_component_is_in_his_file():
    asking = parse_component_manifest(COMPONENT)
    places = [shown(request.where) for request in requested_of(asking.capabilities)]
    opened = """mounts = { "/data" = { path = "images", write = true } }
environment = { TZ = "UTC" }
grants = "requested"
config ="""
    found = effective(asking, "image/resizer", parse_host_manifest(host("config =", opened)))
    assert found.mounts["/data"].write
    assert found.environment == {"TZ": "UTC"}
    assert found.enforcement == "enforce"
    assert found.grants == tuple(places)
    one = host("config =", f'grants = ["{places[0].removeprefix("capabilities.")}"]\nconfig =')
    assert effective(asking, "image/resizer", parse_host_manifest(one)).grants == (places[0],)
    none = host("config =", 'grants = ["http[9]"]\nconfig =')
    with pytest.raises(ManifestError, match=r"has no request 'http\[9\]'"):
        effective(asking, "image/resizer", parse_host_manifest(none))
    with pytest.raises(ManifestError, match="a mount is an absolute path in the component"):
        parse_host_manifest(host("config =", 'mounts = { "a/.." = { path = "x" } }\nconfig ='))


@pytest.mark.parametrize(
    ("component_text", "host_text", "message"),
    [
        (COMPONENT, host("128MiB", "32MiB"), "needs 64MiB of memory and image/resizer gets 32MiB"),
        (
            COMPONENT,
            host("config = { size = 3 }", ""),
            "config.size: is not set, and image/resizer",
        ),
        (COMPONENT, host("size = 3", "sise = 3"), "has no such setting; did you mean `size`?"),
        (COMPONENT, host("size = 3", 'size = "3"'), "config.size: expected a integer, got '3'"),
        (COMPONENT, host("size = 3", "size = true"), "config.size: expected a integer, got True"),
    ],
)
def test_what_does_not_fit_together_names_the_key(component_text, host_text, message):
    manifest, ours = parse_component_manifest(component_text), parse_host_manifest(host_text)
    with pytest.raises(ManifestError) as caught:
        effective(manifest, "image/resizer", ours)
    assert message in str(caught.value)


def test_a_deployment_that_is_not_there_is_answered_with_a_near_one():
    ours = parse_host_manifest(HOST)
    with pytest.raises(ManifestError, match="did you mean `image/resizer`"):
        effective(parse_component_manifest(COMPONENT), "image/resiser", ours)


@pytest.mark.parametrize(
    "value",
    [
        "stringObject contains unknown field `rllback` - at `$.state`s",
        "x - at `$.nowhere[...].y`",
        "x - at `$[7]",
    ],
)
def test_a_value_that_reads_like_the_place_of_an_error_is_not_taken_for_one(value):
    text = COMPONENT.replace('type = "string", default', f'type = "{value}", default')
    with pytest.raises(ManifestError) as caught:
        parse_component_manifest(text)
    line = text[: text.index(value)].count("\n") + 1
    assert caught.value.message.startswith(f"Component.toml:{line}:")
    assert value in caught.value.message


@pytest.mark.parametrize("quantity", ["64MiB", "5s"])
def test_a_line_end_is_no_part_of_a_quantity(quantity):
    text = COMPONENT.replace(f'"{quantity}"', f'"{quantity}\\n"')
    with pytest.raises(ManifestError, match=r"Component\.toml:\d+:\d+: expected"):
        parse_component_manifest(text)
