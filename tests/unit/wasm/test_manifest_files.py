"""Component.toml and airssys.toml: what is taken, and where an error points."""

from __future__ import annotations

import json

import pytest

from airssys.wasm import Analysis, BlueGreen, Bounds, Canary, Recreate, Rolling, Shadow
from airssys.wasm.manifest import (
    ManifestError,
    canonical,
    effective_config,
    effective_limits,
    filed_strategy,
    granted_places,
    parse_component_manifest,
    parse_host_manifest,
    requested,
    rules_for,
)
from airssys.wasm.manifest.configuration import Configuration
from airssys.wasm.manifest.host_manifest import Maxima
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
        (host('"canary"', '"rolling"'), "14:1: `steps` goes with strategy 'canary', not 'rolling'"),
        (host("[1, 5, 25, 50]", "[5, 1]"), "14:1: steps [5, 1] must grow, from above 0"),
        (host("[1, 5, 25, 50]", "[0, 1]"), "14:1: steps [0, 1] must grow, from above 0"),
        (host("[1, 5, 25, 50]", "[5, 100]"), "14:1: steps [5, 100] must end at 95 percent or less"),
        (host("[1, 5, 25, 50]", '["a"]'), "14:10: Expected `float`, got `str` at deployments"),
        (host("steps", "analysis = { alpha = 2 }\nsteps"), "14:14: alpha must be 1e-09 to 0.5"),
        (
            host("steps", 'analysis = { insufficient = "pass" }\nsteps'),
            "14:14: Invalid enum value 'pass'",
        ),
        (host("steps", 'bounds = { traps = "no" }\nsteps'), "14:12: Invalid enum value 'no'"),
        (host("steps", 'bounds = { p99 = "90d" }\nsteps'), "14:12: p99 must be seconds, 30 days"),
        (
            host("steps", 'then = "hold"\nsteps'),
            "14:1: `then` goes with strategy 'shadow', not 'canary'",
        ),
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


WHOLE_CANARY = """
strategy = "canary"
steps = [0.5, 10]
step_duration = "2m"
bounds = { p99 = "250ms", error_rate = 0.1, traps = "any", past = "any" }
[deployments."image/resizer".analysis]
alpha = 0.01
tolerated = 3
acceptable = 0.02
confidence = 0.9
min_calls = 7
max_wait = "2h"
insufficient = "ask"
slow = [0.5]
slower_by = "2ms"
warm_up = 3
baseline = 4
"""
STRATEGIES = [
    ("", BlueGreen()),
    ("strategy = 'canary'\nanalysis = {}\nbounds = {}", Canary()),
    ("strategy = 'rolling'", Rolling()),
    ("strategy = 'shadow'", Shadow()),
    ("strategy = 'recreate'", Recreate()),
    (
        WHOLE_CANARY,
        Canary(
            steps=(0.5, 10),
            step_duration=120,
            analysis=Analysis(
                alpha=0.01,
                tolerated=3,
                acceptable=0.02,
                confidence=0.9,
                min_calls=7,
                max_wait=7200,
                insufficient="ask",
                slow=(0.5,),
                slower_by=0.002,
                warm_up=3,
                baseline=4,
            ),
            bounds=Bounds(p99=0.25, error_rate=0.1, traps=None, past=None),
        ),
    ),
    (
        "strategy = 'rolling'\nshares = 7\nstep_duration = '1s'\nbounds = { traps = 3 }",
        Rolling(shares=7, step_duration=1, bounds=Bounds(traps=3)),
    ),
    ("strategy = 'shadow'\nshare = 50\nthen = 'hold'", Shadow(share=50, then="hold")),
    ("strategy = 'recreate'\nwait = '5s'", Recreate(wait=5)),
]


@pytest.mark.parametrize(("text", "strategy"), STRATEGIES)
def test_an_entry_says_every_field_of_a_strategy_and_has_its_defaults(text, strategy):
    head = "schema = 1\n[deployments.'image/resizer']\nsource = 'resizer.wasm'\n"
    entry = parse_host_manifest(head + text).deployments["image/resizer"]
    assert filed_strategy(entry) == strategy


DEFAULTS = {"memory": 64 << 20, "call_timeout": 30.0, "cpu_per_call": 10.0}


def limits(given=None, maxima=None, text=COMPONENT):
    manifest = None if text is None else parse_component_manifest(text)
    return effective_limits("image/resizer", given or {}, manifest, maxima, DEFAULTS)


def test_the_operator_comes_before_the_component_and_that_before_the_defaults():
    assert limits() == {"memory": 64 << 20, "call_timeout": 5.0, "cpu_per_call": 10.0}
    assert limits({"memory": 128 << 20, "call_timeout": 9.0})["call_timeout"] == 9.0
    assert limits(text=None) == DEFAULTS
    assert limits(maxima=Maxima(cpu_per_call="1s"))["cpu_per_call"] == 1.0


@pytest.mark.parametrize(
    ("given", "maxima", "message"),
    [
        (
            {"memory": 32 << 20},
            None,
            (
                "image/resizer needs 64MiB of memory and 'image/resizer' gets 32MiB; "
                "raise memory in the limits of the deployment"
            ),
        ),
        ({}, Maxima(call_timeout="4s"), "gets 4s; raise call_timeout in host.maxima"),
        (
            {"memory": 512 << 20},
            Maxima(),
            (
                "'image/resizer' is to get 512MiB of memory, and the host gives 256MiB at most; "
                "raise host.maxima.memory, or give it less"
            ),
        ),
    ],
)
def test_limits_that_do_not_fit_together_name_who_to_ask(given, maxima, message):
    with pytest.raises(ManifestError) as caught:
        limits(given, maxima)
    assert message in str(caught.value)


def test_what_the_operator_grants_is_named_by_its_place():
    asked = parse_component_manifest(COMPONENT).capabilities
    places = frozenset(shown(request.where) for request in requested_of(asked))
    assert granted_places("image/resizer", "requested", asked) == places
    one = granted_places("image/resizer", ["http[0]"], asked)
    assert one == {"capabilities.http[0]"}
    assert granted_places("image/resizer", [], asked) == frozenset()
    with pytest.raises(ManifestError, match=r"has no request 'http\[9\]'"):
        granted_places("image/resizer", ["http[9]"], asked)
    with pytest.raises(ManifestError, match="a mount is an absolute path in the component"):
        parse_host_manifest(host("config =", 'mounts = { "a/.." = { path = "x" } }\nconfig ='))


def test_a_configuration_is_complete_and_of_its_types():
    manifest = parse_component_manifest(COMPONENT)
    complete = effective_config("image/resizer", {"size": 3}, manifest)
    assert complete == {"greeting": "hello", "size": 3}
    assert effective_config("image/resizer", {"any": [1]}, None) == {"any": [1]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "size is not set, and image/resizer has no default for it"),
        ({"sise": 3}, "sise is no setting of image/resizer; did you mean `size`?"),
        ({"other": 3}, "other is no setting of image/resizer; it has greeting, size"),
        ({"size": "3"}, "size takes a value of type integer, not '3'"),
        ({"size": True}, "size takes a value of type integer, not True"),
    ],
)
def test_a_wrong_configuration_names_the_setting(given, message):
    with pytest.raises(ManifestError) as caught:
        effective_config("image/resizer", given, parse_component_manifest(COMPONENT))
    assert message in str(caught.value)


def test_a_file_over_another_keeps_its_own(tmp_path):
    (tmp_path / "user").mkdir()
    user, ours = tmp_path / "user" / "config.toml", tmp_path / "airssys.toml"
    user.write_text(
        "schema = 1\n[host]\nstate = 's'\npolicy = 'p.toml'\nmemory = '1GiB'\n"
        "[deployments.'acme/other']\nsource = 'x'\n"
    )
    ours.write_text("schema = 1\n[host]\nmemory = '2GiB'\nadmission = 'trusted'\n")
    found = Configuration.read(ours).over(Configuration.read(user))
    assert found.state == tmp_path / "user" / "s"
    assert found.policy == [tmp_path / "user" / "p.toml"]
    assert (found.admission, found.ceilings.memory) == ("trusted", 2 << 30)
    with pytest.raises(ManifestError, match=r"airssys\.toml: no deployment 'acme/other'"):
        found.source("acme/other")


def test_a_deployment_that_is_not_there_is_answered_with_a_near_one(tmp_path):
    (tmp_path / "airssys.toml").write_text(HOST)
    ours = Configuration.read(tmp_path / "airssys.toml")
    with pytest.raises(ManifestError, match="did you mean `image/resizer`"):
        ours.source("image/resiser")
    assert ours.source("image/resizer") == tmp_path / "resizer.wasm"


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
