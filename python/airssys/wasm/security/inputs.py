"""What a component that is deployed asks for: by its own manifest, or by who deploys it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.manifest.component_manifest import Capabilities
from airssys.wasm.manifest.embedding import embedded_manifest
from airssys.wasm.manifest.requests import WrongRequestError, check_requests, shown

if TYPE_CHECKING:
    from airssys.wasm.manifest.component_manifest import ComponentManifest

__all__ = ["Asked", "capabilities_from", "capabilities_of", "manifest_of"]

#: Requests, or the same in the form of the table `[capabilities]` of a `Component.toml`.
Asked = Capabilities | Mapping[str, Any]


_BINARY = b"\0asm"


def capabilities_from(given: Asked | None) -> Capabilities | None:
    """Return requests that were given in either form.

    Raises:
        InvalidSetting: They are none; the message says where.
    """
    if given is None or isinstance(given, Capabilities):
        return given
    try:
        return msgspec.convert(given, Capabilities)
    except msgspec.ValidationError as error:
        raise InvalidSetting(
            f"capabilities: {error}", hint="as in [capabilities] of a Component.toml"
        ) from None


def capabilities_of(
    content: bytes, given: Capabilities | None, *, inherited: bool
) -> Capabilities | None:
    """Return what a component asks for; None where that is nothing.

    Args:
        content: The component.
        given: What who deploys it says that it asks for, where it carries no manifest.
        inherited: That was said of an earlier component of the deployment, and holds for this one
            unless it carries a manifest.

    Raises:
        InvalidSetting: `given` for a component that carries a manifest, or a request is none.
        ManifestError: The manifest in the component is not one.
        InvalidComponent: It is not a component.
    """
    manifest = manifest_of(content)
    if manifest is not None and given is not None and not inherited:
        raise InvalidSetting(
            "the component carries a manifest, which says what it asks for",
            hint="leave `capabilities` out, or deploy a component without a manifest",
        )
    asked = given if manifest is None else manifest.capabilities
    if asked is None:
        return None
    try:
        return asked if check_requests(asked) else None
    except WrongRequestError as error:
        raise InvalidSetting(f"{shown(error.where)}: {error}") from None


def manifest_of(content: bytes) -> ComponentManifest | None:
    """Return the manifest in a component; one in text format has none.

    Raises:
        ManifestError: It carries something that is no manifest.
        InvalidComponent: It is not a component.
    """
    return embedded_manifest(content) if content.startswith(_BINARY) else None
