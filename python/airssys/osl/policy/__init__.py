"""Who may do what: rules, and the files they come from."""

from airssys.osl.policy.compile import compile_policy
from airssys.osl.policy.load import LoadedPolicy, load_policy, parse_policy
from airssys.osl.policy.model import (
    Acl,
    Condition,
    Effect,
    Enforcement,
    Grant,
    Policy,
    Role,
    Rule,
    Tags,
    TimeOfDay,
)

__all__ = [
    "Acl",
    "Condition",
    "Effect",
    "Enforcement",
    "Grant",
    "LoadedPolicy",
    "Policy",
    "Role",
    "Rule",
    "Tags",
    "TimeOfDay",
    "compile_policy",
    "load_policy",
    "parse_policy",
]
