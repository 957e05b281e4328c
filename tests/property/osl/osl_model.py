"""The slow and obvious model of decisions, which the native matcher must agree with."""

from __future__ import annotations

import ipaddress
import math
import time
from dataclasses import dataclass, field

ERROR = "error"


@dataclass(frozen=True)
class Who:
    name: str
    roles: frozenset[str] = frozenset()
    attributes: dict = field(default_factory=dict, hash=False)
    #: The revision of a deployment that acts; None for code.
    revision: int | None = None
    #: Who called, the original caller first; no two of them have one name.
    callers: tuple[Who, ...] = ()
    #: `enforce`, `observe`, `learn`, or `observed` for observation that has ended.
    enforcement: str = "enforce"

    @property
    def passes_ungranted(self) -> bool:
        """Whether nobody in the chain is held to the rules as they are."""
        return all(each.enforcement in {"observe", "learn"} for each in (self, *self.callers))

    def is_meant_by(self, principal: str) -> bool:
        if principal.startswith("name:") and "*" in principal:
            return segments_match(principal[5:].split("/"), self.name.split("/"))
        return principal in self.selectors

    @property
    def selectors(self) -> set[str]:
        namespace = self.name.split("/")[0] if "/" in self.name else None
        return (
            {"*", f"name:{self.name}"}
            | {f"role:{role}" for role in self.roles}
            | ({f"namespace:{namespace}"} if namespace else set())
            | ({f"revision:{self.name}@{self.revision}"} if self.revision else set())
        )


def segment_matches(pattern: str, text: str) -> bool:
    """`*` stands for any characters, for at least one where it is the whole segment."""
    if pattern == "*":
        return text != ""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(segment_tail(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and segment_tail(pattern[1:], text[1:])


def segment_tail(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(segment_tail(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and segment_tail(pattern[1:], text[1:])


def segments_match(patterns: list[str], texts: list[str]) -> bool:
    if not patterns:
        return not texts
    if patterns[0] == "**":
        return any(segments_match(patterns[1:], texts[n:]) for n in range(len(texts) + 1))
    return (
        bool(texts)
        and segment_matches(patterns[0], texts[0])
        and segments_match(patterns[1:], texts[1:])
    )


def path_matches(pattern: str, path: str) -> bool:
    def split(text: str) -> list[str]:
        return [each for each in text.split("/") if each]

    return segments_match(split(pattern), split(path))


def arguments_match(patterns: list[str] | None, arguments: list[str]) -> bool:
    return patterns is None or segments_match(patterns, arguments)


def test_condition(condition: dict, attributes: dict) -> bool | str:
    """True, False, or ERROR."""
    if "all" in condition:
        values = [test_condition(part, attributes) for part in condition["all"]]
        if False in values:
            return False
        return ERROR if ERROR in values else True
    if "any" in condition:
        values = [test_condition(part, attributes) for part in condition["any"]]
        if True in values:
            return True
        return ERROR if ERROR in values else False
    if "not" in condition:
        value = test_condition(condition["not"], attributes)
        return ERROR if value == ERROR else not value
    return test_leaf(condition, attributes)


test_condition.__test__ = False


def in_networks(have: object, ranges: list[str]) -> bool | str:
    """A name is in no network; what is nearly an address is an error."""
    if not isinstance(have, str):
        return ERROR
    try:
        address = ipaddress.ip_address(have)
    except ValueError:
        last = have.rstrip(".").split(".")[-1]
        nearly = set(have) & set(":/%[") or last.isdigit() or last[:2] in {"0x", "0X"}
        return ERROR if nearly or not last else False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ipaddress.ip_network(each) for each in ranges)


def number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same_type(left: object, right: object) -> bool:
    return (number(left) and number(right)) or type(left) is type(right)


def test_leaf(condition: dict, attributes: dict) -> bool | str:  # noqa: PLR0912 - one per op
    name, op, value = condition["attribute"], condition["op"], condition["value"]
    if op == "exists":
        return (name in attributes) == value
    if name not in attributes:
        return ERROR
    have = attributes[name]
    if op in {"eq", "ne"}:
        if not same_type(have, value):
            return ERROR
        return (have == value) == (op == "eq")
    if op in {"lt", "le", "gt", "ge"}:
        if not (number(have) and number(value)):
            return ERROR
        return {"lt": have < value, "le": have <= value, "gt": have > value, "ge": have >= value}[
            op
        ]
    if op == "network":
        return in_networks(have, value)
    if op == "in":
        comparable = [item for item in value if same_type(item, have)]
        if not comparable:
            return ERROR
        return have in comparable
    if op == "contains":
        if isinstance(have, (list, tuple)) or (isinstance(have, str) and isinstance(value, str)):
            return value in have
        return ERROR
    if op in {"prefix", "suffix"}:
        if not isinstance(have, str):
            return ERROR
        return have.startswith(value) if op == "prefix" else have.endswith(value)
    raise AssertionError(op)


test_leaf.__test__ = False


def fits_callers(rule: dict, who: Who) -> bool:
    """All callers are named by a rule that allows, one of them by a rule that denies or asks."""
    if "callers" not in rule:
        return True
    named = [any(each.is_meant_by(one) for one in rule["callers"]) for each in who.callers]
    if rule["effect"] == "allow":
        return bool(named) and all(named)
    return any(named)


def guarded(kind: str, access: str) -> bool:
    """Whether the original caller must hold the right too."""
    return kind in {"process", "secret"} or access in {"write", "create", "delete"}


def decide(
    rules: list[dict],
    who: Who,
    kind: str,
    access: str,
    target: str,
    arguments: list[str] | None = None,
    *,
    ceiling: bool = False,
) -> str:
    """What `who` may do, and for what is guarded what the original caller may do as well."""
    request = (kind, access, target, arguments)
    passes = who.passes_ungranted and (kind, access) != ("process", "spawn") and kind != "secret"
    ungranted = "allow" if passes else "deny"
    own, rule = decide_alone(rules, who, *request, ceiling=ceiling)
    own = ungranted if own == "nothing" else own
    if own == "deny" or not who.callers or not guarded(kind, access):
        return own
    if rule is not None and rule.get("act_as") == "self":
        return own
    theirs, _ = decide_alone(rules, who.callers[0], *request, ceiling=ceiling)
    theirs = ungranted if theirs == "nothing" else theirs
    return {"allow": own, "ask": "ask", "deny": "deny"}[theirs]


def decide_alone(  # noqa: PLR0912 - one for each way to decide
    rules: list[dict],
    who: Who,
    kind: str,
    access: str,
    target: str,
    arguments: list[str] | None = None,
    *,
    ceiling: bool = False,
) -> tuple[str, dict | None]:
    """allow, deny, ask or nothing: deny wins over all, an error denies, asking wins over allowing.

    A component needs a request and a grant, and where there is a ceiling a rule of that; what the
    policy leaves to a person is asked of what it requests. With it the first rule, by its id, that
    says so: of a component the grant.
    """
    facts = who.attributes | {
        "caller": who.callers[0].name if who.callers else "",
        "callers": [each.name for each in who.callers],
    }
    effects: dict[tuple[str, str], dict] = {}
    component = who.revision is not None
    for rule in sorted(rules, key=lambda rule: rule["id"]):
        part = rule.get("part", "whole")
        if part in {"request", "grant"} and not component:
            continue
        if rule.get("expires", math.inf) <= time.time():
            continue
        if rule["kind"] != kind or not (access in rule["access"] or "*" in rule["access"]):
            continue
        if not any(who.is_meant_by(principal) for principal in rule["principals"]):
            continue
        if not any(path_matches(pattern, target) for pattern in rule["targets"]):
            continue
        if kind == "process" and access == "spawn":
            if not arguments_match(rule.get("arguments"), arguments or []):
                continue
        if not fits_callers(rule, who):
            continue
        value = test_condition(rule["when"], facts) if "when" in rule else True
        if value == ERROR:
            return "deny", None
        if value:
            effects.setdefault((rule["effect"], part if component else "whole"), rule)
    if any(effect == "deny" for effect, _ in effects):
        return "deny", None
    requested = ("allow", "request") in effects
    asks = [effects.get(("require-approval", "whole"))]
    if requested:
        asks.append(effects.get(("require-approval", "ceiling")))
    asking = [rule for rule in asks if rule is not None]
    if asking:
        return "ask", min(asking, key=lambda rule: rule["id"])
    if ("allow", "whole") in effects:
        return "allow", effects["allow", "whole"]
    within = ("allow", "ceiling") in effects or not ceiling
    if requested and ("allow", "grant") in effects and within:
        return "allow", effects["allow", "grant"]
    return "nothing", None


def network_target_matches(pattern: str, host: str, port: int) -> bool:
    """For the few shapes the comparison uses: exact host, `*.name`, CIDR, port or `*`."""
    pattern_host, _, pattern_port = pattern.rpartition(":")
    if pattern_port not in {"*", str(port)}:
        return False
    pattern_host = pattern_host.strip("[]")
    if "/" in pattern_host:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(pattern_host)
        except ValueError:
            return False
    if pattern_host.startswith("*."):
        labels = host.split(".")
        return len(labels) == len(pattern_host.split(".")) and host.endswith(pattern_host[1:])
    return pattern_host == host
