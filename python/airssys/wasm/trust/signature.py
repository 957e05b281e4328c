"""Signatures on components: what is signed, and how it travels."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
from semver import Version

from airssys.wasm.blobs import digest_of
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.sections import custom_sections, with_section, without_sections
from airssys.wasm.trust.errors import SignatureUnusable

if TYPE_CHECKING:
    from airssys.wasm.trust.keys import SigningKey
    from airssys.wasm.trust.public_key import PublicKey

__all__ = [
    "SECTION",
    "Moment",
    "Signature",
    "Statement",
    "embed",
    "read_signatures",
    "sign",
    "subject_of",
]

#: A time with its zone: without one it would be another time on another machine.
Moment: TypeAlias = Annotated[dt.datetime, msgspec.Meta(tz=True)]
#: The custom section that carries signatures, a JSON list.
SECTION: Final = "airssys-signatures"
_CONTEXT: Final = b"airssys component signature v1\0"
_MOST_SIGNATURES: Final = 16
_MOST_BYTES: Final = 64 * 1024
_MANIFEST: Final = "airssys-manifest"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature says: this component, with this manifest, is this version of this name.

    Attributes:
        name: The name, such as `image/resizer`.
        version: Its version, by semver.
        component: SHA-256 of the component without its signatures, as `sha256:` and hexadecimal.
        manifest: SHA-256 of the manifest in it, or an empty string where it carries none.
        key: The id of the key that signs.
        not_after: When the signature ends to count, in UTC; None for never.
    """

    name: str
    version: str
    component: str
    manifest: str
    key: str
    not_after: Moment | None = None

    def encoded(self) -> bytes:
        """Return the bytes that are signed: a context string, then each field after its length."""
        until = "" if self.not_after is None else self.not_after.astimezone(dt.UTC).isoformat()
        fields = (self.name, self.version, self.component, self.manifest, self.key, until)
        return _CONTEXT + b"".join(
            len(data := field.encode()).to_bytes(4, "big") + data for field in fields
        )


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement and the signature over it.

    Attributes:
        statement: What is signed.
        signature: The 64 bytes of Ed25519.
    """

    statement: Statement
    signature: bytes

    def check(self, component: bytes, key: PublicKey, *, now: dt.datetime) -> None:
        """Return if this is a signature of `key` over exactly this component that still counts.

        Args:
            component: The bytes that are to be run.
            key: The key that the statement names.
            now: The time, with a zone.

        Raises:
            SignatureUnusable: It is not; the message says in what.
            InvalidComponent: The bytes are no component.
        """
        statement = self.statement
        if statement.key != key.id:
            raise SignatureUnusable(f"signed by key {statement.key}, not by {key.id}")
        if not key.verifies(self.signature, statement.encoded()):
            raise SignatureUnusable(f"the signature of key {key.id} is not over its statement")
        digest, manifest = subject_of(component)
        if not Version.is_valid(statement.version):
            raise SignatureUnusable(f"'{statement.version}' is not a version")
        if statement.component != digest:
            raise SignatureUnusable(
                f"the signature is over another component ({statement.component}), this is {digest}"
            )
        if statement.manifest != manifest:
            raise SignatureUnusable("the signature is over another manifest")
        if statement.not_after is not None and now > statement.not_after:
            raise SignatureUnusable(
                f"the signature of key {key.id} ended at {statement.not_after:%Y-%m-%d %H:%M} UTC"
            )


def subject_of(component: bytes) -> tuple[str, str]:
    """Return the digests that a statement on this component holds: of it, and of its manifest.

    Raises:
        InvalidComponent: The bytes are no component.
        SignatureUnusable: It carries two manifests.
    """
    manifests = custom_sections(component, _MANIFEST)
    if len(manifests) > 1:
        raise SignatureUnusable("the component carries two manifests, so none counts")
    bare = without_sections(component, SECTION)
    return digest_of(bare), digest_of(manifests[0].content) if manifests else ""


def sign(
    component: bytes,
    key: SigningKey,
    *,
    name: str,
    version: str,
    not_after: dt.datetime | None = None,
) -> Signature:
    """Sign a component, with the manifest it carries, as a version of a name.

    Raises:
        InvalidComponent: The bytes are no component.
        SignatureUnusable: It carries two manifests, the version is not one of semver, or
            `not_after` has no zone.
        InvalidDeploymentName: The name breaks the rules for names.
    """
    check_deployment_name(name)
    if not Version.is_valid(version):
        raise SignatureUnusable(f"'{version}' is not a version", hint="as semver: 1.2.0")
    if not_after is not None and not_after.tzinfo is None:
        raise SignatureUnusable(
            f"the end {not_after} has no time zone", hint="as 2027-01-31T00:00:00+00:00"
        )
    digest, manifest = subject_of(component)
    statement = Statement(name, version, digest, manifest, key.public.id, not_after)
    return Signature(statement, key.sign(statement.encoded()))


def embed(component: bytes, signature: Signature) -> bytes:
    """Return the component with this signature beside those it carries; one per key is kept.

    Raises:
        InvalidComponent: The bytes are no component.
        SignatureUnusable: What it carries as signatures is damaged, or there are too many.
    """
    others = [
        each for each in read_signatures(component) if each.statement.key != signature.statement.key
    ]
    return with_section(component, SECTION, encode([*others, signature]))


def encode(signatures: list[Signature]) -> bytes:
    """Return signatures as they are stored in a section or a file: a JSON list.

    Raises:
        SignatureUnusable: There are too many.
    """
    if len(signatures) > _MOST_SIGNATURES:
        raise SignatureUnusable(f"at most {_MOST_SIGNATURES} signatures, got {len(signatures)}")
    return msgspec.json.encode(signatures)


def read_signatures(component: bytes, detached: bytes | None = None) -> list[Signature]:
    """Return the signatures that a component carries, and those in a file beside it.

    None is checked yet.

    Args:
        component: The component.
        detached: The content of the file beside it.

    Raises:
        InvalidComponent: The bytes are no component.
        SignatureUnusable: They are damaged, too many or too large.
    """
    sections = custom_sections(component, SECTION)
    if len(sections) > 1:
        raise SignatureUnusable(f"the component carries {len(sections)} lists of signatures")
    found: list[Signature] = []
    for content in [section.content for section in sections] + ([detached] if detached else []):
        if len(content) > _MOST_BYTES:
            raise SignatureUnusable(f"signatures of {len(content)} bytes, {_MOST_BYTES} at most")
        try:
            found += msgspec.json.decode(content, type=list[Signature])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SignatureUnusable(f"signatures cannot be read: {error}") from error
    if len(found) > _MOST_SIGNATURES:
        raise SignatureUnusable(f"at most {_MOST_SIGNATURES} signatures, got {len(found)}")
    return found
