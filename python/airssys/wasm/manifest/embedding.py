"""The manifest inside a component: exactly one custom section, at the top level."""

from __future__ import annotations

from typing import Final

import msgspec

from airssys.wasm.manifest.component_manifest import ComponentManifest
from airssys.wasm.manifest.errors import ManifestError
from airssys.wasm.manifest.read import check_component_manifest
from airssys.wasm.sections import custom_sections, with_section

__all__ = ["SECTION", "canonical", "embed_manifest", "embedded_manifest", "need_same"]

#: The custom section that carries the manifest, in canonical form.
SECTION: Final = "airssys-manifest"
_MOST_BYTES: Final = 256 * 1024


def canonical(manifest: ComponentManifest) -> bytes:
    """Return the one form of a manifest: JSON, keys in order, without defaults or blanks.

    Two files that say the same, in whatever order and with whatever comments, have the same.
    """
    return msgspec.json.encode(manifest, order="deterministic")


def embed_manifest(component: bytes, manifest: ComponentManifest) -> bytes:
    """Return the component with this manifest in it, in the place of any other.

    Signatures in it no longer fit: sign after this.

    Raises:
        InvalidComponent: The bytes are no component in binary form.
    """
    return with_section(component, SECTION, canonical(manifest))


def embedded_manifest(component: bytes) -> ComponentManifest | None:
    """Return the manifest that a component carries; `None` when it carries none.

    Raises:
        ManifestError: It carries two, or something that is no manifest in canonical form.
        InvalidComponent: The bytes are no component in binary form.
    """
    found = custom_sections(component, SECTION)
    if not found:
        return None
    if len(found) > 1:
        raise ManifestError(
            f"the component carries {len(found)} manifests, so none counts; pack it anew"
        )
    content = found[0].content
    if len(content) > _MOST_BYTES:
        raise ManifestError(
            f"the manifest in the component has {len(content)} bytes, more than {_MOST_BYTES}"
        )
    try:
        manifest = msgspec.json.decode(content, type=ComponentManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(
            f"the manifest in the component is not one: {error}; pack it anew"
        ) from error
    check_component_manifest(manifest, "the manifest in the component")
    if canonical(manifest) != content:
        raise ManifestError(
            "the manifest in the component is not in canonical form, so what was signed could be "
            "read in two ways; pack it anew"
        )
    return manifest


def need_same(component: bytes, beside: ComponentManifest) -> None:
    """Return if a file beside a component says the same as the manifest in it, or it has none.

    Raises:
        ManifestError: They differ; the message names the first key that does.
    """
    inside = embedded_manifest(component)
    if inside is None or canonical(inside) == canonical(beside):
        return
    one, other = msgspec.to_builtins(inside), msgspec.to_builtins(beside)
    where = _difference(one, other) or "schema"
    raise ManifestError(
        f"the manifest in the component and the file beside it differ at {where}; pack it anew, or "
        "remove the file",
        key=where,
    )


def _difference(one: object, other: object) -> str:
    """Return the path of the first key whose values differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return ""
    for key in sorted({*one, *other}):
        if one.get(key) != other.get(key):
            inner = _difference(one.get(key), other.get(key))
            return f"{key}.{inner}" if inner else str(key)
    return ""
