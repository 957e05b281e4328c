"""Accesses as requests of a manifest, and requests as the text of one."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from airssys.wasm.manifest.component_manifest import (
    Capabilities,
    CustomRequest,
    FilesystemRequest,
    HttpRequest,
    MessagingRequest,
    NetworkRequest,
    ProcessRequest,
    SecretRequest,
    StorageRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airssys.wasm.security.mounts import Mount

__all__ = ["Use", "asking_for", "capability_text", "path_in_component"]

_SPECIAL = re.compile(r"[*?\[\]{}\\]")
_PORTS = {"https": 443, "http": 80}
_WIDTH = 100


class Use(NamedTuple):
    """One access, as the log has it; a path is that of the component."""

    kind: str
    access: str
    target: str


def path_in_component(path: str, mounts: Mapping[str, Mount]) -> str | None:
    """Return what a component calls a path of the host; None where no mount shows it."""
    best: tuple[int, str] | None = None
    for guest, mount in mounts.items():
        root = mount.path.rstrip("/")
        if path == mount.path or path.startswith(f"{root}/"):
            inside = path[len(root) :].strip("/")
            found = os.path.normpath(f"{guest}/{inside}")
            if best is None or len(root) > best[0]:
                best = (len(root), found)
    return None if best is None else best[1]


def asking_for(uses: Iterable[Use]) -> Capabilities:
    """Return the least request that covers these accesses.

    What is given without asking (clocks, random numbers, the log, configuration) is left out.
    """
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for use in uses:
        wanted.setdefault((use.kind, _subject(use)), {})[use.access] = None
    asked: dict[str, list[Any]] = {}
    for (kind, target), accesses in sorted(wanted.items()):
        for field, request in _requests(kind, target, tuple(accesses)):
            asked.setdefault(field, []).append(request)
    return Capabilities(**{field: tuple(requests) for field, requests in asked.items()})


def capability_text(capabilities: Capabilities) -> str:
    """Return `[capabilities]` as it stands in `Component.toml`; the table is empty for nothing."""
    lines = ["[capabilities]"]
    for field, requests in cast("dict[str, Any]", msgspec.to_builtins(capabilities)).items():
        if not requests:
            continue
        items = [_value(request) for request in requests]
        line = f"{field} = [{', '.join(items)}]"
        if len(line) > _WIDTH and len(items) > 1:
            line = "\n".join((f"{field} = [", *(f"    {item}," for item in items), "]"))
        lines.append(line)
    return "\n".join(lines) + "\n"


def _subject(use: Use) -> str:
    """Return what of a target requests of its kind can tell apart."""
    if use.kind != "storage":
        return use.target
    if use.target.startswith("@share/"):
        return use.target
    # The keys of another deployment come after `@`; a deployment's own after `self`.
    first = use.target.partition("/")[0]
    return first if first == "self" else f"{use.target}/".partition("/@/")[0]


def _requests(  # noqa: PLR0912 - one case per kind
    kind: str, target: str, accesses: tuple[str, ...]
) -> Iterable[tuple[str, object]]:
    match kind:
        case "filesystem":
            yield "filesystem", FilesystemRequest(path=_literal(target), access=accesses)
        case "http":
            yield "http", _http(target, accesses)
        case "storage":
            _, share, others = target.rpartition("@share/")
            if share:
                yield "storage", StorageRequest(share_with=_literal(others), access=accesses)
            else:
                yield "storage", StorageRequest(namespace=_literal(target), access=accesses)
        case "network":
            for access in accesses:
                yield "network", msgspec.convert({access: target}, NetworkRequest)
        case "messaging":
            for access in accesses:
                yield "messaging", msgspec.convert({access: _literal(target)}, MessagingRequest)
        case "process":
            for access in accesses:
                yield "process", msgspec.convert({access: _literal(target)}, ProcessRequest)
        case "environment":
            yield "environment", _literal(target)
        case "secret":
            yield "secrets", _secret(target)
        case "custom":
            yield "custom", CustomRequest(name=_literal(target))
        case _:
            return


def _literal(target: str) -> str:
    """Return the pattern that matches this target alone."""
    return _SPECIAL.sub(r"\\\g<0>", target)


def _encoded(path: str) -> str:
    """Return the pattern of a URL that matches this path alone, which the log has decoded."""
    return _literal(path.replace("%", "%25"))


def _http(target: str, methods: tuple[str, ...]) -> HttpRequest:
    place = _place(target)
    return HttpRequest(
        host=place.host,
        scheme=place.scheme,
        port=None if place.port == _PORTS[place.scheme] else place.port,
        # A method without a name of its own is one of any.
        methods=("*",) if "other" in methods else methods,
        path=_encoded(place.path),
    )


def _secret(target: str) -> SecretRequest:
    """Return the request for a secret, of which the log has the name behind the header."""
    place = _place(target)
    header, _, name = place.path.lstrip("/").rpartition("/")
    return SecretRequest(
        name=_literal(name),
        scheme=place.scheme,
        host=place.host,
        port=place.port,
        header=_encoded(header),
    )


class _Place(NamedTuple):
    scheme: Literal["https", "http"]
    host: str
    port: int
    path: str


def _place(target: str) -> _Place:
    """Take apart `https://host:port/path`, as the log has it: with a port, and no query."""
    scheme, _, rest = target.partition("://")
    authority, slash, path = rest.partition("/")
    host, _, port = authority.rpartition(":")
    return _Place(
        "http" if scheme == "http" else "https", host.strip("[]"), int(port), slash + path
    )


def _value(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            # Strings, numbers and booleans of TOML are those of JSON, but for one character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
