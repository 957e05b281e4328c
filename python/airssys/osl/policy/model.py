"""Rules, and the two other ways of writing them: ACL entries and roles.

The classes are both the Python API and the schema of a policy file: a file is checked against them
field by field.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

__all__ = [
    "Acl",
    "Condition",
    "Effect",
    "Enforcement",
    "Grant",
    "Policy",
    "Role",
    "Rule",
    "Tags",
    "TimeOfDay",
]

#: `ask` allows once an approver has said yes.
Effect: TypeAlias = Literal["allow", "deny", "ask"]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
Texts: TypeAlias = Annotated[tuple[Text, ...], Meta(min_length=1)]
KindName: TypeAlias = Literal[
    "filesystem",
    "network",
    "http",
    "storage",
    "messaging",
    "process",
    "environment",
    "config",
    "secret",
    "clock",
    "random",
    "log",
    "custom",
]
Scalar: TypeAlias = str | int | float | bool
Clock: TypeAlias = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$(?!\n)")]
Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Enforcement(Enum):
    """What happens to an access that is merely not granted.

    Explicit denies, errors, reserved objects and process spawns are refused in every mode.
    """

    ENFORCE = "enforce"
    OBSERVE = "observe"
    LEARN = "learn"


class _Record(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """The base of everything that a policy is made of: trees, which need no garbage collector."""


class TimeOfDay(_Record, kw_only=True, frozen=True):
    """A daily span of UTC clock time, from `since` up to but without `until`, on `days`.

    A span with `since` after `until` runs over midnight and belongs to the day it began on.
    """

    since: Clock = "00:00"
    until: Clock = "24:00"
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Tags(_Record, kw_only=True, frozen=True):
    """A test on the tags of a context: it has `all` of these and `any` of those."""

    all: tuple[Text, ...] = ()
    any: tuple[Text, ...] = ()


class Condition(_Record, kw_only=True, rename={"not_": "not"}, frozen=True):
    """A test on attributes; every field that is given must hold.

    A test that cannot be made (the attribute is missing or of another type) is an error, and an
    error in a rule denies; so is the `not` of an error.

    Attributes:
        attribute: Name of the attribute that the following fields test.
        equals: Its value is this.
        one_of: Its value is one of these.
        prefix: Its text begins with this.
        suffix: Its text ends with this.
        contains: Its list has this item, or its text this part.
        below: Its number is smaller than this.
        above: Its number is greater than this.
        exists: Whether it is there at all.
        time: The UTC time is in this span.
        source: The `source` attribute of the context is one of these names, or an address in one
            of these networks (`10.0.0.0/8`, `::1`).
        tags: The `tags` attribute of the context has these.
        all: All of these hold.
        any: One of these holds.
        not_: This does not hold. Written `not` in files.
    """

    attribute: Text | None = None
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = None
    prefix: Text | None = None
    suffix: Text | None = None
    contains: Text | None = None
    below: float | None = None
    above: float | None = None
    exists: bool | None = None
    time: TimeOfDay | None = None
    source: Texts | None = None
    tags: Tags | None = None
    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    not_: Condition | None = None


class Grant(_Record, kw_only=True, frozen=True):
    """Capabilities: one kind of access to targets that match patterns.

    Attributes:
        kind: Kind of capability.
        access: What may be done, such as `read`; `*` for everything of the kind.
        target: Patterns of targets; `*` stands for one segment, `**` for any number. `clock`,
            `random` and `log` have none.
        addresses: Networks that a host name may resolve to beside globally routable addresses.
        transport: For the network, `tcp`, `udp` or both.
        arguments: For spawns, a pattern per argument; `**` stands for any number of them.
    """

    kind: KindName = "filesystem"
    access: Texts
    target: tuple[Text, ...] = ()
    addresses: tuple[Text, ...] = ()
    transport: tuple[Literal["tcp", "udp"], ...] = ()
    arguments: tuple[Text, ...] | None = None


class Rule(Grant, kw_only=True, frozen=True):
    """Allows or denies capabilities to principals.

    Attributes:
        name: What records and `explain` call the rule; unique in a policy, by default its place.
        effect: `allow`, `deny`, or `ask` an approver.
        to: Principals: a name, a pattern of names (`image/*` one segment, `image/**` any number),
            `role:NAME`, `namespace:NAME`, or `*` for everybody.
        when: Condition under which the rule counts.
        must_audit: The record is on disk before the effect takes place.
        act_as: `self` where the caller of the principal need not hold the right too.
        callers: The rule counts only for principals that these called, in the notation of `to`:
            where it allows, each of the chain must be one of them; where it denies or asks, one is
            enough. `*` is for any; without it the rule does not ask who called.
        expires: Moment after which the rule no longer counts.
    """

    name: Text = ""
    effect: Effect = "allow"
    to: Texts
    when: Condition | None = None
    must_audit: bool = False
    act_as: Literal["self"] | None = None
    callers: Texts | None = None
    expires: dt.datetime | None = None


class Acl(_Record, kw_only=True, frozen=True):
    """An entry of an access control list: a rule from the view of a resource.

    Attributes:
        identity: Principal, in the notation of `Rule.to`.
        resource: Pattern of targets.
        permissions: Accesses.
        kind: Kind of the resource.
        effect: `allow` or `deny`.
    """

    identity: Text
    resource: Text
    permissions: Texts
    kind: KindName = "filesystem"
    effect: Literal["allow", "deny"] = "allow"
    name: Text = ""


class Role(_Record, kw_only=True, frozen=True):
    """A named set of grants that principals hold together.

    Attributes:
        name: Name of the role.
        inherits: Roles whose grants it has too; a cycle is refused.
        members: Principals that hold it, in the notation of `Rule.to` without `role:`.
        grants: What it allows.
    """

    name: Text
    inherits: tuple[Text, ...] = ()
    members: tuple[Text, ...] = ()
    grants: tuple[Grant, ...] = field(default=(), name="grant")


class Policy(_Record, kw_only=True, frozen=True):
    """Everything that decides: one policy file, or several merged.

    Attributes:
        enforcement: What happens to what is merely not granted.
        observe_until: End of `observe`, which needs one; afterwards it is `enforce`.
        rules, acls, roles: In files the tables `[[rule]]`, `[[acl]]`, `[[role]]`.
    """

    enforcement: Enforcement = Enforcement.ENFORCE
    observe_until: dt.datetime | None = None
    rules: tuple[Rule, ...] = field(default=(), name="rule")
    acls: tuple[Acl, ...] = field(default=(), name="acl")
    roles: tuple[Role, ...] = field(default=(), name="role")
