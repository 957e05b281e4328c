"""`Component.toml`: what a component is, asks for and needs, by its author.

It has no place for grants, enforcement, weights or trust: those are the operator's.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from airssys.wasm.manifest.quantities import Range, Size, Span, Text

__all__ = [
    "About",
    "Build",
    "Capabilities",
    "ComponentManifest",
    "ConfigEntry",
    "CustomRequest",
    "FilesystemRequest",
    "HttpRequest",
    "Instance",
    "MessagingRequest",
    "Needs",
    "NetworkRequest",
    "ProcessRequest",
    "SecretRequest",
    "State",
    "StorageRequest",
]

Accesses: TypeAlias = Annotated[tuple[Text, ...], Meta(min_length=1)]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of everything that a manifest is made of."""


class About(Record, kw_only=True, frozen=True):
    """What the component is.

    Attributes:
        name: Lower-case segments of 3 to 64 characters, joined by `/`; the first is the namespace.
        version: By semver.
        description: For people.
        authors: For people.
        license: An SPDX expression.
        repository: Where its source is.
        keywords: For people.
    """

    name: Text
    version: Text
    description: str = ""
    authors: tuple[str, ...] = ()
    license: str = ""
    repository: str = ""
    keywords: tuple[str, ...] = ()


class Build(Record, kw_only=True, frozen=True):
    """How `airssys build` makes it; a deploy never runs any of this.

    Attributes:
        language: What it is written in.
        command: Replaces the usual command of the language.
        world: The WIT world that it implements.
    """

    language: Literal["rust", "python", "javascript", "typescript", "c"] = "rust"
    command: str = ""
    world: Text = "airssys:core/component"


class Request(Record, kw_only=True, frozen=True):
    """The base of requests.

    Attributes:
        reason: Why it is needed, for who approves.
    """

    reason: str = ""


class FilesystemRequest(Request, kw_only=True, frozen=True):
    """Files.

    Attributes:
        path: Pattern of absolute paths; `*` stands for one segment, `**` for any number.
        access: `read`, `write`, `create`, `delete`, `list`, `metadata`, `execute`.
    """

    path: Text
    access: Accesses


class NetworkRequest(Request, kw_only=True, frozen=True):
    """The network: exactly one of `connect`, `listen` and `resolve`.

    Attributes:
        connect: `host:port`, `*.example.com:443`, `10.0.0.0/8:5432`, `unix:/run/x.sock`.
        listen: The same, of this machine.
        resolve: A host.
        transport: `tcp`, `udp` or both.
        addresses: Networks that a name may lead to beside globally routable addresses.
    """

    connect: Text | None = None
    listen: Text | None = None
    resolve: Text | None = None
    transport: tuple[Literal["tcp", "udp"], ...] = ()
    addresses: tuple[Text, ...] = ()


class HttpRequest(Request, kw_only=True, frozen=True):
    """Requests to a host.

    Attributes:
        host: A name, `*.example.com`, or an address.
        scheme: `https`, `http`, or `*` for both.
        port: By default that of the scheme.
        methods: Such as `GET`; `*` for any.
        path: Pattern of paths; by default any.
        addresses: Networks that the name may lead to beside globally routable addresses.
    """

    host: Text
    scheme: Literal["https", "http", "*"] = "https"
    port: Port | None = None
    methods: Accesses = ("GET",)
    path: Text = "/**"
    addresses: tuple[Text, ...] = ()


class StorageRequest(Request, kw_only=True, frozen=True):
    """Stored keys: exactly one of `namespace` and `share_with`.

    Attributes:
        namespace: `self` for its own, or the deployment whose namespace it is, such as
            `team/shared`; its owner has to share it.
        share_with: Pattern of deployments that its own namespace is shared with, such as `team/*`;
            each still needs the right to it.
        access: `read`, `write`, `delete`, `list`.
    """

    namespace: Text | None = None
    share_with: Text | None = None
    access: Accesses


class MessagingRequest(Request, kw_only=True, frozen=True):
    """Messages: exactly one of these.

    Attributes:
        send, ask, broadcast: Pattern of deployments, such as `image/*`.
        publish, subscribe: Pattern of topics, such as `images.*`.
    """

    send: Text | None = None
    ask: Text | None = None
    broadcast: Text | None = None
    publish: Text | None = None
    subscribe: Text | None = None


class ProcessRequest(Request, kw_only=True, frozen=True):
    """Programs: exactly one of `spawn`, `signal` and `wait`.

    Attributes:
        spawn, signal, wait: Path of a resolved executable, or a pattern.
        arguments: A pattern per argument; `**` for any number. By default any.
    """

    spawn: Text | None = None
    signal: Text | None = None
    wait: Text | None = None
    arguments: tuple[Text, ...] | None = None


class SecretRequest(Request, kw_only=True, frozen=True):
    """A secret, and the one place where it may appear.

    Attributes:
        name: Its name.
        scheme, host, port, header: The place, of a request that goes out.
    """

    name: Text
    scheme: Literal["https", "http"] = "https"
    host: Text
    port: Port = 443
    header: Text = "authorization"


class CustomRequest(Request, kw_only=True, frozen=True):
    """Something that host functions written in Python declare.

    Attributes:
        name: Its name, in segments.
    """

    name: Text


class Capabilities(Record, kw_only=True, frozen=True):
    """What the component asks for; what it gets is decided elsewhere.

    Attributes:
        filesystem, network, http, storage, messaging, process, secrets, custom: Requests.
        environment: Variables it reads, or patterns of them.
    """

    filesystem: tuple[FilesystemRequest, ...] = ()
    network: tuple[NetworkRequest, ...] = ()
    http: tuple[HttpRequest, ...] = ()
    storage: tuple[StorageRequest, ...] = ()
    messaging: tuple[MessagingRequest, ...] = ()
    process: tuple[ProcessRequest, ...] = ()
    environment: tuple[Text, ...] = ()
    secrets: tuple[SecretRequest, ...] = ()
    custom: tuple[CustomRequest, ...] = ()


class Needs(Record, kw_only=True, frozen=True):
    """The least it works with; the host's maxima win.

    Attributes:
        memory: Linear memory.
        call_timeout: Time of one call, waiting included.
        cpu_per_call: Processor time of one call.
    """

    memory: Size | None = None
    call_timeout: Span | None = None
    cpu_per_call: Span | None = None


class Instance(Record, kw_only=True, frozen=True):
    """How long an instance lives.

    Attributes:
        lifetime: `call` (one per call), `pooled` (reused), `actor` (one per key).
    """

    lifetime: Literal["call", "pooled", "actor"] = "pooled"


class ConfigEntry(Record, kw_only=True, frozen=True):
    """One thing that the operator may set.

    Attributes:
        type: Its type.
        default: Its value where the operator says nothing; without one it must be set.
        description: For people.
    """

    type: Literal["string", "integer", "number", "boolean", "strings"]
    default: str | int | float | bool | tuple[str, ...] | None = None
    description: str = ""


class State(Record, kw_only=True, frozen=True):
    """What becomes of state when another revision takes over.

    Attributes:
        hand_over: `none`, `snapshot`, `migrate`.
        rollback: May an older revision take this state: `reverse`, `discard`, `refuse`.
    """

    hand_over: Literal["none", "snapshot", "migrate"] = "none"
    rollback: Literal["reverse", "discard", "refuse"] = "refuse"


class ComponentManifest(Record, kw_only=True, frozen=True):
    """The whole file.

    Attributes:
        schema: Of this file; 1.
        component: What it is.
        build: How it is made.
        capabilities: What it asks for.
        needs: The least it works with.
        instance: How long an instance lives.
        config: What the operator may set, by name.
        state: What becomes of its state.
        dependencies: Names of other components, and the versions that will do.
    """

    schema: Literal[1]
    component: About
    build: Build = field(default_factory=Build)
    capabilities: Capabilities = field(default_factory=Capabilities)
    needs: Needs = field(default_factory=Needs)
    instance: Instance = field(default_factory=Instance)
    config: dict[str, ConfigEntry] = field(default_factory=dict)
    state: State = field(default_factory=State)
    dependencies: dict[str, Range] = field(default_factory=dict)
