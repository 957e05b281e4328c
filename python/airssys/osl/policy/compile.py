"""From rules, ACL entries and roles to the one description that the native matcher takes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from airssys.osl.errors import PolicyError
from airssys.osl.policy.bulk import uncollected
from airssys.osl.policy.model import Condition, Grant, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airssys.osl.policy.model import Policy, Role, TimeOfDay

__all__ = ["Description", "Positions", "compile_policy", "describe_policy", "document"]

#: Source position of a rule by the table it stands in and its number there.
Positions: TypeAlias = "Mapping[tuple[str, int], str]"
Description: TypeAlias = dict[str, object]

_EFFECTS = {"allow": "allow", "deny": "deny", "ask": "require-approval"}
_DAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}


class _Place(NamedTuple):
    """Where a rule was written: as the default of its name, and for errors."""

    position: str

    def fail(self, problem: str) -> PolicyError:
        return PolicyError(f"{self.position}: {problem}", position=self.position)


def compile_policy(policy: Policy, positions: Positions | None = None) -> bytes:
    """Return the native description of a policy, as JSON.

    Raises:
        PolicyError: As `describe_policy` says.
    """
    return document(describe_policy(policy, positions))


def document(rules: Iterable[Description], *, ceiling: bool = False) -> bytes:
    """Return rules as the native matcher takes them.

    Args:
        rules: Their descriptions.
        ceiling: Components may do only what a rule of the policy allows, whatever is granted.
    """
    return msgspec.json.encode({"schema": 1, "ceiling": ceiling, "rules": list(rules)})


@uncollected()
def describe_policy(policy: Policy, positions: Positions | None = None) -> list[Description]:
    """Return the native descriptions of the rules of a policy.

    What it allows or asks for, it allows or asks for to code; to components it is the ceiling of
    what they may do by requests and grants. A deny is one for everybody.

    Raises:
        PolicyError: Two rules have one name, a role inherits itself or one that does not exist, or
            a condition tests nothing.
    """
    known = positions or {}
    described: list[Description] = []
    seen: dict[str, str] = {}

    def place(table: str, number: int) -> _Place:
        position = known.get((table, number))
        return _Place(position if position is not None else f"{table}[{number}]")

    def add(rule: Rule, name: str, where: _Place) -> None:
        if name in seen:
            raise where.fail(
                f"the rule name {name!r} is used at {seen[name]} already; give each rule its own"
            )
        seen[name] = where.position
        described.append(_describe(rule, name, where))

    for number, rule in enumerate(policy.rules):
        where = place("rule", number)
        add(rule, rule.name or where.position, where)
    for number, entry in enumerate(policy.acls):
        where = place("acl", number)
        rule = Rule(
            effect=entry.effect,
            to=(entry.identity,),
            kind=entry.kind,
            access=entry.permissions,
            target=(entry.resource,),
        )
        add(rule, entry.name or where.position, where)
    holders = _holders(policy.roles, place)
    for number, role in enumerate(policy.roles):
        where = place("role", number)
        for index, grant in enumerate(role.grants):
            add(_granted(grant, holders[role.name]), f"role:{role.name}#{index + 1}", where)
    return described


def _granted(grant: Grant, to: tuple[str, ...]) -> Rule:
    return Rule(to=to, **{name: getattr(grant, name) for name in Grant.__struct_fields__})


def _holders(
    roles: Iterable[Role], place: Callable[[str, int], _Place]
) -> dict[str, tuple[str, ...]]:
    """Return by role who has its grants: its own members and those of every role above it."""
    by_name: dict[str, Role] = {}
    places: dict[str, _Place] = {}
    for number, role in enumerate(roles):
        where = place("role", number)
        if role.name in by_name:
            raise where.fail(f"the role {role.name!r} is defined twice; merge the two")
        by_name[role.name] = role
        places[role.name] = where
    holders: dict[str, set[str]] = {
        name: {f"role:{name}", *role.members} for name, role in by_name.items()
    }
    for name, role in by_name.items():
        for inherited in _ancestors(name, by_name, places):
            holders[inherited].update((f"role:{name}", *role.members))
    return {name: tuple(sorted(found)) for name, found in holders.items()}


def _ancestors(
    name: str, by_name: Mapping[str, Role], places: Mapping[str, _Place]
) -> Iterable[str]:
    """Yield every role that `name` inherits, directly or not."""
    # Depth first with an explicit path: a chain of roles may be longer than Python's stack.
    done: set[str] = set()
    path: list[str] = [name]
    pending = [iter(by_name[name].inherits)]
    while pending:
        parent = next(pending[-1], None)
        if parent is None:
            pending.pop()
            path.pop()
            continue
        if parent not in by_name:
            raise places[path[-1]].fail(
                f"the role {path[-1]!r} inherits {parent!r}, which no [[role]] defines"
            )
        if parent in path:
            cycle = " -> ".join([*path[path.index(parent) :], parent])
            raise places[path[-1]].fail(f"roles inherit in a circle ({cycle}); break it")
        if parent in done:
            continue
        done.add(parent)
        yield parent
        path.append(parent)
        pending.append(iter(by_name[parent].inherits))


def _describe(rule: Rule, name: str, where: _Place) -> Description:
    described: Description = {
        "id": name,
        "effect": _EFFECTS[rule.effect],
        "principals": [_principal(text, where) for text in rule.to],
        "kind": rule.kind,
        "targets": rule.target,
        "access": rule.access,
        "position": where.position,
    }
    if rule.effect != "deny":
        described["part"] = "ceiling"
    if rule.when is not None:
        described["when"] = _condition(rule.when, where)
    if rule.must_audit:
        described["must_audit"] = True
    if rule.act_as:
        described["act_as"] = rule.act_as
    if rule.callers is not None:
        described["callers"] = [_principal(text, where) for text in rule.callers]
    if rule.expires is not None:
        if rule.expires.tzinfo is None:
            raise where.fail("`expires` has no time zone; write it like 2027-01-01T00:00:00Z")
        described["expires"] = rule.expires.timestamp()
    if rule.addresses:
        described["addresses"] = rule.addresses
    if rule.transport:
        described["transport"] = rule.transport
    if rule.arguments is not None:
        described["arguments"] = rule.arguments
    return described


def _principal(text: str, where: _Place) -> str:
    if text == "*":
        return text
    head, colon, rest = text.partition(":")
    if not colon:
        return f"name:{text}"
    if head not in {"role", "namespace", "name"} or not rest:
        raise where.fail(
            f"{text!r} is no principal: expected a name, a pattern such as 'image/*', 'role:NAME', "
            "'namespace:NAME' or '*'"
        )
    return text


def _test(attribute: str, op: str, value: object) -> Description:
    return {"attribute": attribute, "op": op, "value": value}


_TESTS = (
    ("equals", "eq"),
    ("one_of", "in"),
    ("prefix", "prefix"),
    ("suffix", "suffix"),
    ("contains", "contains"),
    ("below", "lt"),
    ("above", "gt"),
    ("exists", "exists"),
)


def _condition(condition: Condition, where: _Place) -> Description:
    parts: list[Description] = []
    for field, op in _TESTS:
        value = getattr(condition, field)
        if value is None:
            continue
        if condition.attribute is None:
            raise where.fail(f"a condition has {field!r} but no `attribute` to test")
        parts.append(_test(condition.attribute, op, value))
    if condition.attribute is not None and not parts:
        raise where.fail(
            f"a condition names the attribute {condition.attribute!r} but does not test it; "
            f"add one of {', '.join(field for field, _ in _TESTS)}"
        )
    if condition.time is not None:
        parts.append(_span(condition.time))
    if condition.source is not None:
        parts.append(_source(condition.source))
    if condition.tags is not None:
        parts.extend(_test("tags", "contains", tag) for tag in condition.tags.all)
        if condition.tags.any:
            parts.append({"any": [_test("tags", "contains", tag) for tag in condition.tags.any]})
    if condition.all is not None:
        parts.append({"all": [_condition(part, where) for part in condition.all]})
    if condition.any is not None:
        parts.append({"any": [_condition(part, where) for part in condition.any]})
    if condition.not_ is not None:
        parts.append({"not": _condition(condition.not_, where)})
    if not parts:
        raise where.fail("a condition tests nothing; remove `when` or say what must hold")
    return parts[0] if len(parts) == 1 else {"all": parts}


def _source(sources: Iterable[str]) -> Description:
    """Test for names and networks; a name is in no network, and an address is no name."""
    networks = [source for source in sources if _is_network(source)]
    names = [source for source in sources if not _is_network(source)]
    if not networks:
        return _test("source", "in", names)
    inside = _test("source", "network", networks)
    return {"any": [_test("source", "in", names), inside]} if names else inside


def _is_network(source: str) -> bool:
    # Only looks: the native matcher says what is wrong with a network that is not one.
    head, slash, length = source.partition("/")
    if slash and length.isdigit() and "/" not in length:
        return ":" in head or head.replace(".", "").isdigit()
    try:
        ipaddress.ip_address(source)
    except ValueError:
        return False
    return True


def _span(span: TimeOfDay) -> Description:
    since, until = _minute(span.since), _minute(span.until)
    days = sorted(_DAYS[day] for day in span.days)
    if since < until:
        return {
            "all": [
                _test("time.minute", "ge", since),
                _test("time.minute", "lt", until),
                _test("time.weekday", "in", days),
            ]
        }
    following = sorted((day + 1) % 7 for day in days)
    return {
        "any": [
            {"all": [_test("time.minute", "ge", since), _test("time.weekday", "in", days)]},
            {"all": [_test("time.minute", "lt", until), _test("time.weekday", "in", following)]},
        ]
    }


def _minute(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
