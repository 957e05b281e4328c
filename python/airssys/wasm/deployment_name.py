"""The names of deployments."""

from __future__ import annotations

import re

from airssys.wasm.host_errors import InvalidDeploymentName

__all__ = ["check_deployment_name", "namespace_of"]

_SEGMENT = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_RULE = (
    "a name is a namespace and one or more segments joined by '/' (image/resizer), each of 3 to 64 "
    "lower-case letters, digits and single hyphens, beginning with a letter"
)


def check_deployment_name(name: str) -> str:
    """Return `name` when it is a valid deployment name.

    Raises:
        InvalidDeploymentName: It is not; the message names the offending segment and the rule.
    """
    if not isinstance(name, str):
        raise InvalidDeploymentName(
            f"a deployment name is a string, not {type(name).__name__}", hint=_RULE
        )
    segments = name.split("/")
    for segment in segments:
        if not 3 <= len(segment) <= 64 or not _SEGMENT.fullmatch(segment):
            raise InvalidDeploymentName(
                f"segment {segment!r} of deployment name {name!r} is not valid",
                hint=_RULE,
                name=name,
                segment=segment,
            )
    if len(segments) < 2:
        raise InvalidDeploymentName(
            f"deployment name {name!r} has no namespace", hint=_RULE, name=name
        )
    return name


def namespace_of(name: str) -> str:
    """Return the first segment of a valid deployment name."""
    return name.split("/", 1)[0]
