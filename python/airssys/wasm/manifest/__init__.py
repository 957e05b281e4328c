"""The two files: `Component.toml` by the author, `airssys.toml` by the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.manifest.component_manifest import (
        Capabilities,
        ComponentManifest,
        CustomRequest,
        FilesystemRequest,
        HttpRequest,
        MessagingRequest,
        NetworkRequest,
        ProcessRequest,
        SecretRequest,
        StorageRequest,
    )
    from airssys.wasm.manifest.configuration import Configuration
    from airssys.wasm.manifest.effective import effective_config, effective_limits, granted_places
    from airssys.wasm.manifest.embedding import (
        canonical,
        embed_manifest,
        embedded_manifest,
        need_same,
    )
    from airssys.wasm.manifest.errors import ManifestError
    from airssys.wasm.manifest.filed_strategy import filed_strategy
    from airssys.wasm.manifest.host_manifest import HostManifest
    from airssys.wasm.manifest.json_schema import json_schema
    from airssys.wasm.manifest.read import (
        parse_component_manifest,
        parse_host_manifest,
        read_component_manifest,
        read_host_manifest,
    )
    from airssys.wasm.manifest.requests import Requested, requested, rules_for
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "component_manifest": (
                "Capabilities",
                "ComponentManifest",
                "CustomRequest",
                "FilesystemRequest",
                "HttpRequest",
                "MessagingRequest",
                "NetworkRequest",
                "ProcessRequest",
                "SecretRequest",
                "StorageRequest",
            ),
            "configuration": ("Configuration",),
            "effective": ("effective_config", "effective_limits", "granted_places"),
            "embedding": ("canonical", "embed_manifest", "embedded_manifest", "need_same"),
            "errors": ("ManifestError",),
            "filed_strategy": ("filed_strategy",),
            "host_manifest": ("HostManifest",),
            "json_schema": ("json_schema",),
            "read": (
                "parse_component_manifest",
                "parse_host_manifest",
                "read_component_manifest",
                "read_host_manifest",
            ),
            "requests": ("Requested", "requested", "rules_for"),
        },
    )

__all__ = [
    "Capabilities",
    "ComponentManifest",
    "Configuration",
    "CustomRequest",
    "FilesystemRequest",
    "HostManifest",
    "HttpRequest",
    "ManifestError",
    "MessagingRequest",
    "NetworkRequest",
    "ProcessRequest",
    "Requested",
    "SecretRequest",
    "StorageRequest",
    "canonical",
    "effective_config",
    "effective_limits",
    "embed_manifest",
    "embedded_manifest",
    "filed_strategy",
    "granted_places",
    "json_schema",
    "need_same",
    "parse_component_manifest",
    "parse_host_manifest",
    "read_component_manifest",
    "read_host_manifest",
    "requested",
    "rules_for",
]
