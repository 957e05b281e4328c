"""Policy files: what they say, and errors that name the line."""

from __future__ import annotations

import json
import tomllib

import pytest

from airssys.osl import Enforcement, PolicyError
from airssys.osl._native import toml_parse, toml_position
from airssys.osl.policy import compile_policy, load_policy, parse_policy

GOOD = """\
# who may read what
enforcement = "observe"
observe_until = 2027-01-31T00:00:00Z

[[rule]]
name = "inbox"
to = ["alice", "role:clerk"]
access = ["read", "list"]
target = ["/data/in/**"]
when = { all = [{ attribute = "source", equals = "cron" }, { not = { tags = { any = ["x"] } } }] }

[[acl]]
identity = "namespace:acme"
resource = "/data/out/*"
permissions = ["write", "create"]

[[role]]
name = "clerk"
members = ["bob"]

[[role.grant]]
kind = "network"
access = ["connect"]
target = ["db.example.com:5432"]
addresses = ["10.0.0.0/8"]
transport = ["tcp"]

[[role]]
name = "chief"
inherits = ["clerk"]
"""


def described(text):
    return json.loads(compile_policy(*parse_policy(text, "p.toml")))["rules"]


def test_three_ways_of_writing_rules_become_one():
    inbox, entry, granted = described(GOOD)
    assert inbox["principals"] == ["name:alice", "role:clerk"]
    assert inbox["when"] == {
        "all": [
            {"attribute": "source", "op": "eq", "value": "cron"},
            {"not": {"any": [{"attribute": "tags", "op": "contains", "value": "x"}]}},
        ]
    }
    assert entry["id"] == entry["position"] == "p.toml:12"
    assert entry["principals"] == ["namespace:acme"]
    assert granted["principals"] == ["name:bob", "role:chief", "role:clerk"]
    assert granted["addresses"] == ["10.0.0.0/8"]
    assert parse_policy(GOOD).policy.enforcement is Enforcement.OBSERVE


def rule(line=""):
    return f'[[rule]]\nto = ["a"]\naccess = ["read"]\ntarget = ["/x"]\n{line}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "p.toml:1:1: unknown key `x`; expected one of enforcement, observe_until, rule"),
        (rule() + rule('colour = "red"'), "p.toml:10:1: unknown key `colour`; expected one of"),
        (rule('efect = "deny"'), "p.toml:5:1: unknown key `efect`; did you mean `effect`?"),
        (
            rule('when = { all = [{ attribut = "x", exists = true }] }'),
            "p.toml:5:19: unknown key `attribut`; did you mean `attribute`?",
        ),
        (rule('effect = "permit"'), "p.toml:5:1: Invalid enum value 'permit' at rule[0].effect"),
        ('[[rule]]\nto = [\n  "a",\n  7,\n]\n', "p.toml:4:3: Expected `str`, got `int`"),
        ("[[rule]]\nto = []\n", "p.toml:2:1: Expected `array` of length >= 1 at rule[0].to"),
        ("a = [\n1,\n", "p.toml:2:3: unclosed array"),
        ("a = 1\na = 2\n", "p.toml:2:1: duplicate key"),
        ("a = 99999999999999999999", "p.toml:1:5: the integer does not fit"),
        (rule("expires = 2027-02-30T00:00:00Z"), "p.toml:5:"),
        (rule("when = {}"), "p.toml:1: a condition tests nothing"),
        (rule("when = { equals = 1 }"), "p.toml:1: a condition has 'equals' but no `attribute`"),
        (rule('when = { attribute = "x" }'), "p.toml:1: a condition names the attribute 'x'"),
        (rule('when = { time = { since = "25:00" } }'), "p.toml:5:19: Expected `str` matching"),
        (rule("expires = 2027-01-01T00:00:00"), "p.toml:1: `expires` has no time zone"),
        (rule('name = "n"') * 2, "p.toml:6: the rule name 'n' is used at p.toml:1 already"),
        (rule().replace('"a"', '"role:"'), "p.toml:1: 'role:' is no principal"),
        (rule().replace('"a"', '"team:a"'), "p.toml:1: 'team:a' is no principal"),
        ('[[role]]\nname = "a"\ninherits = ["b"]\n', "p.toml:1: the role 'a' inherits 'b'"),
        (
            '[[role]]\nname = "a"\ninherits = ["b"]\n[[role]]\nname = "b"\ninherits = ["a"]\n',
            "p.toml:4: roles inherit in a circle (a -> b -> a)",
        ),
        ('[[role]]\nname = "a"\n' * 2, "p.toml:3: the role 'a' is defined twice"),
        (
            rule('name = """\\\n[[rule]]"""') + rule("x = 1"),
            "p.toml:11:1: unknown key `x`",
        ),
    ],
)
def test_a_wrong_policy_is_an_error_that_names_the_line(text, message):
    with pytest.raises(PolicyError) as caught:
        described(text)
    assert str(caught.value).startswith(message)


def test_a_file_that_is_not_utf8_names_its_line(tmp_path):
    path = tmp_path / "p.toml"
    path.write_bytes(b"# fine\n# caf\xe9\n")
    with pytest.raises(PolicyError, match=r"p\.toml:2:6: the file is not UTF-8"):
        load_policy(path)


def test_deep_nesting_is_an_error_and_no_crash():
    with pytest.raises(PolicyError, match=r"policy:1:85: cannot recurse further"):
        parse_policy("a = " + "[" * 100_000)


def test_places_are_found_past_strings_of_several_lines():
    text = 'a = """\n[[b]]\n"""\n[[b]]\nc = [1,\n  {d = 2},\n]\n[b.e."f.g"]\nh = 1.5\n'
    assert toml_position(text, ["b", 0]) == (4, 1)
    assert toml_position(text, ["b", 0, "c", 1, "d"]) == (6, 4)
    assert toml_position(text, ["b", 0, "e", "f.g", "h"]) == (9, 1)
    # What is not there is where the deepest part of the way to it is.
    assert toml_position(text, ["b", 0, "c", 7, "d"]) == (5, 1)
    # Columns count characters, as an editor does.
    assert toml_position('a = ["é", 1]', ["a", 1]) == (1, 11)


def test_every_kind_of_value_is_read_as_the_standard_library_reads_it():
    text = (
        "i = 1_000\nh = 0xFF\no = -0\nf = 1e3\nn = -inf\nt = true\ns = 'a\\b'\nu = \"\\u00e9\"\n"
        "d = 2027-01-31\nc = 10:20:30.5\nl = 2027-01-31T10:20:30\n"
        "z = 2027-01-31 10:20:30.25+02:00\n"
        "a = [1, [2]]\n[x.y]\nk = {}\n[[q]]\n[[q]]\n"
    )
    document, lines = toml_parse(text)
    assert document == tomllib.loads(text)
    assert lines == {"q": [16, 17]}


@pytest.mark.parametrize(
    ("span", "weekday", "minute", "inside"),
    [
        ({"since": "09:00", "until": "17:00"}, 2, 9 * 60, True),
        ({"since": "09:00", "until": "17:00"}, 2, 17 * 60, False),
        ({"since": "09:00", "until": "17:00", "days": ["mon"]}, 1, 600, False),
        ({"since": "22:00", "until": "06:00", "days": ["sun"]}, 6, 23 * 60, True),
        ({"since": "22:00", "until": "06:00", "days": ["sun"]}, 0, 60, True),
        ({"since": "22:00", "until": "06:00", "days": ["sun"]}, 6, 60, False),
        ({}, 5, 1439, True),
    ],
)
def test_spans_of_time_hold_when_they_say(span, weekday, minute, inside):
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / "property" / "osl"))
    import msgspec
    import osl_model as model

    from airssys.osl.policy.compile import _span
    from airssys.osl.policy.model import TimeOfDay

    condition = _span(msgspec.convert(span, TimeOfDay))
    attributes = {"time.weekday": weekday, "time.minute": minute}
    assert model.test_condition(condition, attributes) is inside
