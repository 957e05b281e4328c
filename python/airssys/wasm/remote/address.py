"""Where a server listens, and where a client finds it."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from airssys.wasm.remote.errors import InvalidAddress

__all__ = ["Address", "read_address"]

_HINT = "as unix:state/control.sock, tcp:127.0.0.1:7700 or https://host.example:7700"


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """The address of a control API.

    Attributes:
        kind: `unix` for a socket in the file system, `tcp` in clear text, `tls`.
        path: The socket; None for the other kinds.
        host: Name or address of the machine; empty for a socket.
        port: Its port; 0 for a socket.
    """

    kind: Literal["unix", "tcp", "tls"]
    path: Path | None = None
    host: str = ""
    port: int = 0

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        if self.path is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nothing but this machine reaches it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Write it as `read_address` reads it."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"{'https' if self.kind == 'tls' else 'http'}://{self.authority}"


def read_address(text: str) -> Address:
    """Read `unix:PATH`, `tcp:HOST:PORT`, `http://HOST:PORT` or `https://HOST[:PORT]`.

    Raises:
        InvalidAddress: It is none of these.
    """
    scheme, separator, rest = text.partition(":")
    if scheme == "unix" and rest:
        return Address("unix", path=Path(rest).absolute())
    if separator and scheme in {"tcp", "http", "https"}:
        parts = urlsplit(f"//{rest}" if scheme == "tcp" else text)
        try:
            port = parts.port
        except ValueError as error:
            raise _invalid(text) from error
        bare = parts.path in {"", "/"} and not parts.query and parts.username is None
        if port is None and scheme != "tcp":
            port = 443 if scheme == "https" else 80
        if parts.hostname and port is not None and bare:
            kind: Literal["tcp", "tls"] = "tls" if scheme == "https" else "tcp"
            return Address(kind, host=parts.hostname, port=port)
    raise _invalid(text)


def _invalid(text: str) -> InvalidAddress:
    return InvalidAddress(f"{text!r} is no address of a server", hint=_HINT)
