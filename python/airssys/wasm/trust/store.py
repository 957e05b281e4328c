"""The trust store of a host: whose signature counts for which names, and what is blocked."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import fcntl
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from semver import Version

from airssys.osl.regular_file import read_regular
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.errors import InvalidComponent
from airssys.wasm.trust.errors import (
    ComponentBlocked,
    KeyUnusable,
    NotTrusted,
    SignatureUnusable,
    TrustStoreUnusable,
)
from airssys.wasm.trust.public_key import PublicKey
from airssys.wasm.trust.signature import Moment, read_signatures, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm.trust.keys import SigningKey

__all__ = ["Admission", "Assessment", "Level", "TrustStore", "TrustedKey"]

#: What a host lets in: `any` component that is not blocked, or only `trusted` ones.
Admission = Literal["any", "trusted"]

_FILE: Final = "trust.json"
# Bytes of it.
_MOST: Final = 64 << 20
_ROTATION: Final = b"airssys key rotation v1\0"
_SEGMENT: Final = re.compile(r"\*\*?|[a-z0-9-]+")


class Level(enum.StrEnum):
    """How far a component is trusted."""

    TRUSTED = "trusted"
    """A key that counts for its name signed it."""
    UNKNOWN = "unknown"
    """Nobody who counts signed it."""
    BLOCKED = "blocked"
    """It, or a key that signed it, is blocked."""


class TrustedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key and the names it counts for.

    Attributes:
        key: The public key, as a line.
        names: Patterns of names: `image/*`, `**`.
        comment: Whose it is.
        added: When it was added, in UTC.
        not_after: When it ends to count, in UTC; None for never.
        revoked: When it was revoked, in UTC; None where it was not.
        why: Why it was revoked.
    """

    key: str
    names: tuple[str, ...]
    comment: str
    added: Moment
    not_after: Moment | None = None
    revoked: Moment | None = None
    why: str = ""


class Blocked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A component that must not run, whoever signed it.

    Attributes:
        since: When it was blocked, in UTC.
        why: The reason.
    """

    since: Moment
    why: str


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal[1] = 1
    keys: dict[str, TrustedKey] = {}
    blocked: dict[str, Blocked] = {}
    floors: dict[str, str] = {}


class Assessment(msgspec.Struct, frozen=True):
    """What the store says of a component.

    Attributes:
        level: How far it is trusted.
        reasons: Why not further: one sentence for each signature that does not count.
        version: The version that the signature which counts gives it; None below `trusted`.
        key: The id of the key which counts, or of the one that is blocked; None otherwise.
        downgrade: Whether the name has had a higher version, and the lower one was allowed.
    """

    level: Level
    reasons: tuple[str, ...] = ()
    version: str | None = None
    key: str | None = None
    downgrade: bool = False


class TrustStore:
    """Keys, the names they count for, and what is blocked, in a file of a directory.

    Every call reads the file, so that a change by another process counts at the next decision.

    Args:
        directory: Where it is; the state directory of a host.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        self._path = self._directory / _FILE

    @property
    def exists(self) -> bool:
        """Whether anything was ever put into it."""
        return self._path.exists()

    def keys(self) -> dict[str, TrustedKey]:
        """Return every key by its id, revoked ones included.

        Raises:
            TrustStoreUnusable: The file is damaged.
        """
        return dict(self._read().keys)

    def blocked(self) -> dict[str, Blocked]:
        """Return the blocked components by their digest, and why they are.

        Raises:
            TrustStoreUnusable: The file is damaged.
        """
        return dict(self._read().blocked)

    def floors(self) -> dict[str, str]:
        """Return the lowest version that each name may have, where one is set.

        Raises:
            TrustStoreUnusable: The file is damaged.
        """
        return dict(self._read().floors)

    def set_floor(self, name: str, version: str) -> None:
        """Let a name have no version below this one, not even by a rollback.

        Raises:
            InvalidDeploymentName: The name breaks the rules for names.
            TrustStoreUnusable: The version is not one of semver, or the file is damaged.
            StateWriteFailed: The file cannot be written.
        """
        check_deployment_name(name)
        if not Version.is_valid(version):
            raise TrustStoreUnusable(f"'{version}' is not a version", hint="as semver: 1.2.0")
        with self._change() as content:
            content.floors[name] = version

    def trust(
        self,
        key: PublicKey,
        names: tuple[str, ...],
        *,
        comment: str = "",
        not_after: dt.datetime | None = None,
    ) -> None:
        """Let the signatures of a key count for names; what it counted for before is replaced.

        Args:
            key: The key.
            names: Patterns: `*` stands for one segment, `**` for any number of them.
            comment: Whose it is.
            not_after: When it ends to count, with a zone.

        Raises:
            TrustStoreUnusable: A pattern is not one, the key was revoked, or the file is
                damaged.
            StateWriteFailed: The file cannot be written.
        """
        for pattern in names:
            _check_pattern(pattern)
        if not_after is not None and not_after.tzinfo is None:
            raise TrustStoreUnusable(
                f"the end {not_after} has no time zone", hint="as 2027-01-31T00:00:00+00:00"
            )
        if not names:
            raise TrustStoreUnusable("a key needs a name that it counts for", hint="'image/*'")
        with self._change() as content:
            known = content.keys.get(key.id)
            if known is not None and known.revoked is not None:
                raise TrustStoreUnusable(
                    f"key {key.id} was revoked at {known.revoked:%Y-%m-%d %H:%M} UTC",
                    hint="sign with another key",
                )
            content.keys[key.id] = TrustedKey(str(key), names, comment, _now(), not_after)

    def revoke(self, key: str, why: str) -> None:
        """Let no signature of a key count any more; what it signed is blocked.

        Raises:
            TrustStoreUnusable: There is no such key, or the file is damaged.
            StateWriteFailed: The file cannot be written.
        """
        with self._change() as content:
            known = content.keys.get(key)
            if known is None:
                raise TrustStoreUnusable(
                    f"no key {key} is in the trust store", hint="`airssys trust list` shows them"
                )
            content.keys[key] = msgspec.structs.replace(known, revoked=_now(), why=why)

    def block(self, component: bytes, why: str) -> str:
        """Let a component not run, whoever signed it; return its digest without signatures.

        Raises:
            InvalidComponent: The bytes are no component.
            TrustStoreUnusable: The file is damaged.
            StateWriteFailed: The file cannot be written.
        """
        digest, _ = subject_of(component)
        with self._change() as content:
            content.blocked[digest] = Blocked(_now(), why)
        return digest

    def rotate(self, statement: bytes) -> str:
        """Accept a new key that an old one vouches for; return the id of the new one.

        The new key counts for the names of the old one, which ends to count after the overlap.

        Args:
            statement: What `rotation` made.

        Raises:
            TrustStoreUnusable: The old key is unknown, revoked or ended, did not sign the
                statement, or the file is damaged.
            StateWriteFailed: The file cannot be written.
        """
        try:
            rotation = msgspec.json.decode(statement, type=_Rotation)
            new = PublicKey.parse(rotation.new)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyUnusable) as error:
            raise TrustStoreUnusable(f"not a rotation of keys: {error}") from error
        with self._change() as content:
            old = content.keys.get(rotation.old)
            if old is None or _over(old, _now()) is not None:
                reason = "is not in the trust store" if old is None else _over(old, _now())
                raise TrustStoreUnusable(f"the old key {rotation.old} {reason}")
            if not PublicKey.parse(old.key).verifies(rotation.signature, rotation.encoded()):
                raise TrustStoreUnusable(f"key {rotation.old} did not sign this rotation")
            known = content.keys.get(new.id)
            if known is not None and known.revoked is not None:
                raise TrustStoreUnusable(f"the new key {new.id} was revoked")
            content.keys[new.id] = TrustedKey(str(new), old.names, old.comment, _now())
            ends = min(filter(None, (old.not_after, rotation.overlap_until)))
            content.keys[rotation.old] = msgspec.structs.replace(old, not_after=ends)
        return new.id

    def assess(
        self,
        component: bytes,
        name: str,
        *,
        detached: bytes | None = None,
        now: dt.datetime | None = None,
    ) -> Assessment:
        """Tell how far a component is trusted under a name.

        Args:
            component: The bytes that are to be run.
            name: The name it is to run under.
            detached: Signatures in a file beside it.
            now: The time, with a zone; the present by default.

        Raises:
            TrustStoreUnusable: The file is damaged.
        """
        content = self._read()
        now = now or _now()
        try:
            digest, _ = subject_of(component)
            signatures = read_signatures(component, detached)
        except (SignatureUnusable, InvalidComponent) as error:
            return Assessment(Level.UNKNOWN, (str(error),))
        if blocked := content.blocked.get(digest):
            return Assessment(Level.BLOCKED, (f"it was blocked: {blocked.why}",))
        reasons = []
        revoked: Assessment | None = None
        for signature in signatures:
            statement = signature.statement
            known = content.keys.get(statement.key)
            if known is None:
                reasons.append(f"key {statement.key} is not in the trust store")
                continue
            try:
                signature.check(component, PublicKey.parse(known.key), now=now)
            except SignatureUnusable as error:
                reasons.append(str(error))
                continue
            over = _over(known, now)
            if known.revoked is not None:
                revoked = Assessment(
                    Level.BLOCKED, (f"key {statement.key} {over}",), key=statement.key
                )
            elif over is not None:
                reasons.append(f"key {statement.key} {over}")
            elif statement.name != name:
                reasons.append(f"it was signed as '{statement.name}'")
            elif not any(_matches(pattern, name) for pattern in known.names):
                reasons.append(f"key {statement.key} counts for {', '.join(known.names)}")
            else:
                return Assessment(Level.TRUSTED, version=statement.version, key=statement.key)
        # Whoever stole a key may have dated anything back, so nothing that it signed alone runs.
        return revoked or Assessment(Level.UNKNOWN, tuple(reasons) or ("it is not signed",))

    def admit(self, component: bytes, name: str, admission: Admission) -> Assessment:
        """Return the assessment of a component that may run under a name.

        Raises:
            ComponentBlocked: It is blocked.
            NotTrusted: It is not trusted and `admission` asks for that.
            TrustStoreUnusable: The file is damaged.
        """
        found = self.assess(component, name)
        why = "; ".join(found.reasons)
        if found.level is Level.BLOCKED:
            raise ComponentBlocked(f"the component for '{name}' is blocked: {why}", name=name)
        if admission == "trusted" and found.level is not Level.TRUSTED:
            raise NotTrusted(
                f"the component for '{name}' is not trusted: {why}",
                hint="sign it with `airssys sign`, or trust its key with `airssys trust add`",
                name=name,
            )
        return found

    def _read(self) -> _Content:
        try:
            content = read_regular(self._path, _MOST)
        except FileNotFoundError:
            return _Content()
        try:
            return msgspec.json.decode(content, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TrustStoreUnusable(
                f"the trust store {self._path} is damaged: {error}",
                hint="restore it; until then nothing is admitted",
            ) from error

    @contextlib.contextmanager
    def _change(self) -> Iterator[_Content]:
        if not self._directory.is_dir():
            raise TrustStoreUnusable(
                f"there is no state directory at {self._directory} to keep the trust store in",
                hint="make it with `mkdir`, or name another with --state",
            )
        with explained("change the trust store", self._directory):
            lock = os.open(
                self._directory / f"{_FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._read()
            yield content
            self._write(msgspec.json.format(msgspec.json.encode(content), indent=2))
        finally:
            os.close(lock)

    def _write(self, content: bytes) -> None:
        beside = self._path.with_suffix(".partial")
        with explained("change the trust store", self._directory):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            sync_directory(self._directory)


class _Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: str
    new: str
    overlap_until: Moment
    signature: bytes = b""

    def encoded(self) -> bytes:
        until = self.overlap_until.astimezone(dt.UTC).isoformat()
        return _ROTATION + f"{self.old}\0{self.new}\0{until}".encode()


def rotation(old: SigningKey, new: PublicKey, *, overlap_until: dt.datetime) -> bytes:
    """Return a statement by which an old key vouches for a new one; for `TrustStore.rotate`.

    Args:
        old: The key that counts now.
        new: The key that is to count.
        overlap_until: When the old key ends to count, with a zone.
    """
    unsigned = _Rotation(old.public.id, str(new), overlap_until)
    signature = old.sign(unsigned.encoded())
    return msgspec.json.encode(msgspec.structs.replace(unsigned, signature=signature))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _over(key: TrustedKey, now: dt.datetime) -> str | None:
    """Say why a key does not count any more."""
    if key.revoked is not None:
        return f"was revoked: {key.why}"
    if key.not_after is not None and now > key.not_after:
        return f"ended to count at {key.not_after:%Y-%m-%d %H:%M} UTC"
    return None


def _check_pattern(pattern: str) -> None:
    if not all(_SEGMENT.fullmatch(segment) for segment in pattern.split("/")):
        raise TrustStoreUnusable(
            f"'{pattern}' is not a pattern of names",
            hint="segments joined by '/', each a name, '*' or '**': 'image/*'",
        )


def _matches(pattern: str, name: str) -> bool:
    return _match(pattern.split("/"), name.split("/"))


def _match(pattern: list[str], name: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_match(pattern[1:], name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and pattern[0] in ("*", name[0]) and _match(pattern[1:], name[1:])
