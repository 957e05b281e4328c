"""HTTPS of a guest: a real TLS server, trusted by an authority that the host names, or not."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airssys.wasm import Component, Engine, Wasi

if TYPE_CHECKING:
    from collections.abc import Iterator

GUEST = Path(__file__).parents[3] / "build" / "components" / "http-client.wasm"
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def issue(name: str, issuer: Issued | None = None, *, age: dt.timedelta = DAY) -> Issued:
    """Issue a certificate for `name` that holds for ten days; an authority's without an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = dt.datetime.now(dt.UTC) - age
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + 10 * DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        try:
            names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            names = x509.DNSName(name)
        builder = builder.add_extension(x509.SubjectAlternativeName([names]), critical=False)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


@pytest.fixture(scope="module")
def authority() -> Issued:
    return issue("an own authority")


@pytest.fixture(scope="module")
def client() -> Component:
    return Engine().load(GUEST)


class Server:
    """Answers each request with its first line; keeps what it was asked in clear."""

    def __init__(self, issued: Issued, folder: Path) -> None:
        chain = folder / "chain.pem"
        chain.write_bytes(issued.pem + issued.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[str] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._closing.is_set():
                    return
                connection.settimeout(20)
                try:
                    with self._context.wrap_socket(connection, server_side=True) as stream:
                        self._answer(stream)
                except ssl.SSLError:  # the guest did not trust it
                    continue

    def _answer(self, stream: ssl.SSLSocket) -> None:
        with stream.makefile("rb") as lines:
            request = lines.readline().decode().strip()
            while lines.readline().strip():
                pass
        self.requests.append(request)
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(request)}\r\n\r\n"
        stream.sendall((head + request).encode())

    def close(self) -> None:
        self._closing.set()
        socket.create_connection(("127.0.0.1", self.port), timeout=20).close()
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[type[Server]]:
    servers: list[Server] = []

    class Kept(Server):
        def __init__(self, issued: Issued) -> None:
            super().__init__(issued, tmp_path)
            servers.append(self)

    yield Kept
    for server in servers:
        server.close()


def get(client: Component, authority: str, trust: bytes | None) -> str:
    """Let the guest request `https://<authority>/path`; what it prints."""
    wasi = Wasi(
        arguments=["client", f"GET|https|{authority}|/path?secret=1"],
        http=[authority],
        addresses=["127.0.0.0/8"],
        stdout="capture",
        trust=trust,
    )
    assert client.run(wasi=wasi).status == 0
    return wasi.stdout.decode().strip()


def test_a_server_is_reached_that_an_own_authority_certifies(client, serve, authority) -> None:
    for name in ("localhost", "127.0.0.1"):
        server = serve(issue(name, authority))
        answer = get(client, f"{name}:{server.port}", authority.pem)
        assert answer == "ok:200 GET /path?secret=1 HTTP/1.1"
        assert server.requests == ["GET /path?secret=1 HTTP/1.1"]


def test_a_server_that_nobody_trusted_certifies_is_sent_nothing(client, serve, authority) -> None:
    server = serve(issue("localhost", authority))
    other = issue("another authority")
    for trust in (None, other.pem):
        assert get(client, f"localhost:{server.port}", trust).startswith("err:Tls")
    assert server.requests == []


def test_a_certificate_for_another_name_or_another_time_is_not_trusted(
    client, serve, authority
) -> None:
    elsewhere = serve(issue("example.com", authority))
    over = serve(issue("localhost", authority, age=20 * DAY))
    early = serve(issue("localhost", authority, age=-DAY))
    for server in (elsewhere, over, early):
        assert get(client, f"localhost:{server.port}", authority.pem).startswith("err:Tls")
        assert server.requests == []


def test_what_is_to_be_trusted_has_to_be_certificates(authority) -> None:
    for trust in (b"", b"no certificate", authority.key_pem):
        with pytest.raises(ValueError, match="trust: there is no certificate in it"):
            Wasi(trust=trust)
    with pytest.raises(ValueError, match="trust: not"):
        Wasi(trust=authority.pem.replace(b"\n", b"\n!", 3))
