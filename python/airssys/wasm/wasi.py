"""What an instance is given of the world outside; nothing unless it is listed."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Literal

from airssys.wasm._native import _core
from airssys.wasm.secrets import secret_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airssys.osl.approval import Approvals
    from airssys.wasm._native import Gate, Subject
    from airssys.wasm.secrets import SecretSource
    from airssys.wasm.storage import Namespace
    from airssys.wasm.storage_blocking import BlockingNamespace

__all__ = ["Directory", "Wasi"]

Sink = Literal["discard", "inherit", "capture"]


@dataclasses.dataclass(frozen=True, slots=True)
class Directory:
    """A directory of the host, as a guest sees it.

    Attributes:
        path: The directory on the host.
        write: Whether the guest may change what is in it.
    """

    path: str | os.PathLike[str]
    write: bool = False


class Wasi:
    """Arguments, settings, streams, directories and reachable addresses of an instance.

    Every access is decided at the moment it is made, on the very object that is used; what is not
    listed here is refused. One object can serve many instances; what they write is captured
    together.

    A secret is something that a guest can use and never read. Where a value of `environment` or
    `config` says `${secret:NAME}` the guest sees a placeholder, other for each instance. The host
    puts the secret in its place in the headers of an HTTP request for which the rules allow
    `secret.use` of `NAME@scheme://host:port/header`, once the connection has come about; nowhere
    else. A request with a placeholder in its URL or in another header is refused; in a body it is
    text like any other. Exact copies of a secret that a server sends back are blotted out with
    asterisks, in headers and body.

    Where rules decide, clocks, random numbers and the host's log are given unless a rule denies
    `clock`, `random` or `log`. An instance that is denied the clocks has its own, which begins in
    1970 and goes on by what it waits for; one that is denied random numbers gets the same ones in
    every run, which are no secret to anybody.

    Args:
        arguments: The program's arguments, its name first.
        environment: Environment variables. Where rules decide, each is there only if they allow
            reading it; one that is refused is simply not there, and that is on record.
        config: What `wasi:config` shows: text by key (words separated by dots). Decided key by
            key like the environment.
        secrets: Where the values of secrets come from: a mapping of names to values, or a function
            of a name that returns the value. A function is asked each time that a secret is used,
            on a thread of its own, so that a changed one is used at once; what it raises is
            logged, and the request fails. A value has 8 bytes to 8 KiB of what a header may hold.
        directories: Directories by their path in the guest: a path (read only) or a `Directory`.
        connect: `host:port` that may be connected to, by tcp or udp. The host is a name,
            `*.example.com`, an address or a network (`10.0.0.0/8`); the port a number or `*`.
        listen: `address:port` that may be listened on.
        http: `host` or `host:port` that HTTP requests may go to.
        addresses: Networks (CIDR) outside the global internet that names may resolve to.
        storage: The storage of the instances; those of a deployment have that of the deployment.
        keys: Which keys of its storage an instance may use: `self/**` all, `self/users/*` those
            with one segment after `users/`.
        stdin: Bytes to read, or None for this process's input.
        stdout: `"discard"`, `"inherit"` (this process's), or `"capture"`.
        stderr: The same for standard error.
        capture_bytes: How much of each captured stream is kept, from its beginning.
        trust: Certificates (PEM) by which HTTPS servers may be authenticated beside the authorities
            of the web: those of an own authority.
        rules: A gate of `airssys.osl` and the subject that the guest acts as. The gate's rules
            decide each access then, its audit log records each decision, and `gate.load` grants
            and revokes while the guest runs; `directories` only say what it sees.
        effects: Whether what the rules allow may have effects. Without, every access that would
            change something, or that somebody else would hear of, is refused and on record as
            `effect-free`: a component is tried out. Only where rules decide.
        approver: Who is asked what the rules leave to a person: `OSL.approvals`, or an `Approvals`
            of your own. The guest waits, and the time does not count against the limits of its
            call; without one it is refused.

    Raises:
        OSError: If a directory does not exist.
        ValueError: If a pattern, a name or `trust` cannot be read, rights are listed beside
            `rules`, there is an approver without rules, or a place for a secret has no secret or
            no rules.
    """

    __slots__ = ("_native",)

    def __init__(
        self,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        secrets: SecretSource | None = None,
        directories: Mapping[str, str | os.PathLike[str] | Directory] | None = None,
        connect: Iterable[str] = (),
        listen: Iterable[str] = (),
        http: Iterable[str] = (),
        addresses: Iterable[str] = (),
        storage: Namespace | BlockingNamespace | None = None,
        keys: Iterable[str] = ("self/**",),
        stdin: bytes | None = b"",
        stdout: Sink = "discard",
        stderr: Sink = "discard",
        capture_bytes: int = 1 << 20,
        trust: bytes | None = None,
        rules: tuple[Gate, Subject] | None = None,
        approver: Approvals | None = None,
        effects: bool = True,
    ) -> None:
        if approver is not None and rules is None:
            raise ValueError("approver answers what rules leave to a person; pass rules as well")
        mounts: list[tuple[str, str, bool]] = []
        for guest, directory in (directories or {}).items():
            given = directory if isinstance(directory, Directory) else Directory(directory)
            mounts.append((os.fspath(given.path), guest, given.write))
        self._native = _core.Wasi(
            arguments=list(arguments),
            environment=list((environment or {}).items()),
            config=list((config or {}).items()),
            secrets=None if secrets is None else secret_source(secrets),
            directories=mounts,
            connect=list(connect),
            listen=list(listen),
            http=list(http),
            addresses=list(addresses),
            storage=None if storage is None else storage.native,
            keys=list(keys),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            capture_bytes=capture_bytes,
            trust=trust,
            rules=rules,
            approver=approver,
            effects=effects,
        )

    @property
    def native(self) -> _core.Wasi:
        """The same as the native core holds it."""
        return self._native

    @property
    def stdout(self) -> bytes:
        """What was written to a captured standard output so far."""
        return self._native.stdout or b""

    @property
    def stderr(self) -> bytes:
        """What was written to a captured standard error so far."""
        return self._native.stderr or b""

    @property
    def denials(self) -> list[str]:
        """The last 100 refused accesses, oldest first, each with the reason.

        Empty where a gate decides: its audit log has them.
        """
        return self._native.denials

    def revoke(self) -> None:
        """Take every right away; what is open stops at its next operation.

        Raises:
            ValueError: If a gate decides, whose rules are the rights.
        """
        self._native.revoke()
