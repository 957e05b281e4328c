"""`airssys policy` by real processes."""

from __future__ import annotations

import json

import pytest

RULES = """
[[rule]]
to = ["image/*"]
kind = "http"
access = ["GET"]
target = ["https://*.example.com/v1/**"]

[[rule]]
name = "no metadata"
effect = "deny"
to = ["*"]
kind = "http"
access = ["*"]
target = ["http://169.254.169.254/**"]

[[rule]]
name = "clerks by day"
to = ["role:clerk"]
access = ["read"]
target = ["/srv/archive/**"]
when = { attribute = "shift", equals = "day" }

[[rule]]
name = "ask before sending"
effect = "ask"
to = ["image/resizer"]
kind = "messaging"
access = ["ask"]
target = ["text/*"]
"""


@pytest.fixture
def explain(airssys):
    (airssys.work / "policy.toml").write_text(RULES)

    def run(*arguments):
        done = airssys("policy", "explain", *arguments, "--policy", "policy.toml", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_what_is_allowed_names_the_rule_and_its_line(explain):
    said = explain("image/resizer", "http GET https://a.example.com/v1/x")
    assert (said["effect"], said["rule"], said["needed"]) == ("allow", "policy.toml:2", None)


def test_what_nothing_allows_names_what_was_looked_at_and_what_it_needs(explain, airssys):
    access = "http POST https://a.example.com/v1/x"
    said = explain("image/resizer", access)
    assert (said["effect"], said["rule"]) == ("deny", "default-deny")
    assert said["considered"] == [
        {"rule": "policy.toml:2", "effect": "allow", "verdict": "names other accesses"}
    ]
    (airssys.work / "more.toml").write_text(said["needed"])
    again = airssys("policy", "explain", "image/resizer", access, "--policy", "more.toml", "--json")
    assert json.loads(again.stdout)["effect"] == "allow"


def test_a_deny_and_a_question_are_told_as_such(explain):
    said = explain("image/resizer", "http GET http://169.254.169.254/latest")
    assert (said["effect"], said["rule"]) == ("deny", "no metadata")
    assert said["position"] == "policy.toml:8"
    assert said["needed"] is None
    said = explain("image/resizer", "messaging ask text/tokenizer")
    assert (said["effect"], said["rule"]) == ("ask", "ask before sending")


def test_roles_and_attributes_are_looked_at(explain):
    read = "filesystem read /srv/archive/../archive/x"
    assert explain("alice", read)["effect"] == "deny"
    clerk = explain("alice", read, "--role", "clerk", "--attribute", "shift=day")
    assert (clerk["effect"], clerk["target"]) == ("allow", "/srv/archive/x")
    night = explain("alice", read, "--role", "clerk", "--attribute", "shift=night")
    assert night["considered"][0]["verdict"] == "its condition is false"


def test_people_are_told_the_same(explain, airssys):
    done = airssys("policy", "explain", "x/y", "storage read self/a", "--policy", "policy.toml")
    assert done.stdout.decode().splitlines()[:2] == [
        "denied: x/y storage read self/a",
        "  by default-deny (no rule grants it)",
    ]


@pytest.mark.parametrize(
    ("access", "says"),
    [
        ("http", "expected a kind, an access and a target"),
        ("htp GET x", "'htp' is no kind of access"),
        ("filesystem GET /x", "not an access of filesystem: read, write"),
        ("http GET example.com", "starts with http:// or https://"),
    ],
)
def test_what_is_no_access_is_refused(airssys, explain, access, says):
    done = airssys("policy", "explain", "x/y", access, "--policy", "policy.toml")
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert not done.stdout


def test_files_are_checked_together(airssys, explain):
    done = airssys("policy", "check", "policy.toml", "--json")
    assert json.loads(done.stdout)["rules"] == 4
    (airssys.work / "twice.toml").write_text(
        '[[rule]]\nname = "no metadata"\nto = ["*"]\naccess = ["read"]\ntarget = ["/x"]\n'
    )
    done = airssys("policy", "check", "policy.toml", "twice.toml")
    assert done.returncode == 2
    assert "twice.toml:1: the rule name 'no metadata' is used at policy.toml:8" in (
        done.stderr.decode()
    )
    (airssys.work / "bad.toml").write_text('[[rule]]\nto = ["*"]\nacces = ["read"]\n')
    done = airssys("policy", "check", "bad.toml")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: bad.toml:3:1: ")
