"""Who may do what: users of a socket, tokens, roles, and what comes from a browser."""

from __future__ import annotations

import datetime as dt
import json
import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw import ask, problem
from serving_process import starter

from airssys.osl.audit_log import read_records
from airssys.wasm import Host
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.remote.errors import NotAuthenticated, RoleNeeded, ServerUnreachable

pytestmark = pytest.mark.timeout(240)

OWNER, READER, DEPLOYER, APPROVER = (f"{name}-{'0' * 32}" for name in ("own", "rd", "dep", "app"))


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    """A server that is reached by TCP too; its port."""
    directory = tmp_path_factory.mktemp("reached")
    tokens = directory / "tokens"
    tokens.write_text(
        f"# who may do what\n{OWNER}\n{READER} rita read\n"
        f"{DEPLOYER} dora read,call,deploy\n{APPROVER} anna read,approve\n"
    )
    tokens.chmod(0o600)
    start, stop = starter(directory)
    options = ("--control", "tcp:127.0.0.1:0", "--token-file", tokens, "--name", "plug.example")
    server = start(directory / "state", *options)
    server.port = int(server.control[1].rpartition(":")[2])
    yield server
    stop()


def over_tcp(server, path, *, token=None, **headers):
    given = {"host": f"127.0.0.1:{server.port}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if token is not None:
        given["authorization"] = f"Bearer {token}"
    return ask(("127.0.0.1", server.port), "GET", path, headers=given)


def test_the_socket_is_the_owners_and_knows_who_is_there(reached):
    mode = Path(reached.socket).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    with Host.connect_blocking(reached.address) as host:
        state = host.state()
    assert set(state.roles) == {"read", "call", "deploy", "approve"}


def test_another_user_is_not_let_in(reached):
    """Root may connect to any socket, as another user: the kernel says which."""
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    reader, writer = os.pipe()
    socket = Path(reached.socket)
    for above in (socket, *socket.parents):
        if (mode := above.stat().st_mode) & 0o005 != 0o005:
            above.chmod(mode | 0o077)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            os.write(writer, json.dumps(problem(ask(reached.socket, "GET", "/v1/host"))).encode())
        except BaseException as error:  # noqa: BLE001 - the test reads it
            os.write(writer, repr(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    refused = json.loads(os.read(reader, 65536))
    os.close(reader)
    socket.chmod(0o600)
    assert (refused["status"], refused["code"]) == (401, "not-authenticated")
    assert "user 65534" in refused["detail"]


def test_tcp_needs_a_token(reached):
    assert over_tcp(reached, "/v1/host", token=OWNER)[0] == 200
    for token in (None, "wrong", OWNER[:-1], OWNER + "0", ""):
        answer = over_tcp(reached, "/v1/host", token=token)
        assert (answer[0], answer[1]["www-authenticate"]) == (401, "Bearer")
    assert over_tcp(reached, "/metrics")[0] == 401
    assert over_tcp(reached, "/healthz")[2] == b"ok\n"
    with pytest.raises(NotAuthenticated):
        Host.connect_blocking(f"http://127.0.0.1:{reached.port}", token="x" * 30)


def test_a_browser_is_not_led_here(reached):
    own = f"127.0.0.1:{reached.port}"
    for host in (own, f"localhost:{reached.port}", f"plug.example:{reached.port}"):
        assert over_tcp(reached, "/v1/host", token=OWNER, host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{reached.port}", "127.0.0.1", "", f"[::1]:{own}"):
        refused = over_tcp(reached, "/v1/host", token=OWNER, host=host)
        assert problem(refused)["code"] == "foreign-request", host
    assert over_tcp(reached, "/v1/host", token=OWNER, origin=f"http://{own}")[0] == 200
    for origin in ("http://evil.example", "null", f"https://{own}"):
        refused = over_tcp(reached, "/v1/host", token=OWNER, origin=origin)
        assert problem(refused)["code"] == "foreign-request", origin
    refused = over_tcp(reached, "/v1/host", token=OWNER, sec_fetch_site="cross-site")
    assert refused[0] == 403


def test_roles_are_apart_and_every_operation_is_on_record(reached, guest):
    def connected(token):
        return Host.connect_blocking(f"http://127.0.0.1:{reached.port}", token=token)

    asks = {"environment": ["TZ"]}
    with connected(DEPLOYER) as dora, connected(READER) as rita, connected(APPROVER) as anna:
        calc = dora.deploy(
            guest("calculator"), name="role/calc", capabilities=asks, who="ci", why="new"
        )
        assert calc.api.add(1, 2) == 3
        assert calc.history()[0].who == "ci (by dora)"
        with pytest.raises(RoleNeeded, match="'dora' has not the role 'approve'"):
            calc.grant()
        with pytest.raises(RoleNeeded, match="approve"):
            dora.deploy(guest("calculator-1-1"), name="role/calc", grant="requested")
        with pytest.raises(RoleNeeded, match="'rita' has not the role 'deploy'"):
            rita.deployment("role/calc").rollback()
        with pytest.raises(RoleNeeded, match="call"):
            rita.call("role/calc", "add", 1, 2)
        approving = anna.deployment("role/calc")
        (grant,) = approving.grant("environment[0]", why="seen")
        assert (grant.who, grant.why) == ("anna", "seen")
        assert [each.state for each in approving.requests()] == ["granted"]
        with pytest.raises(RoleNeeded, match="'anna' has not the role 'deploy'"):
            approving.remove()
        assert [each.id for each in approving.revoke(grant)] == [grant.id]
        calc.remove(why="done")
    found = [
        (each.principal, each.operation.removeprefix("control."), each.decision)
        for each in read_records(reached.state / "audit", operation="control")
        if each.target == "role/calc"
    ]
    assert found == [
        ("dora", "deploy", "done"),
        ("dora", "grant", "deny"),
        ("dora", "deploy", "deny"),
        ("dora", "deploy", "failed"),
        ("rita", "rollback", "deny"),
        ("rita", "look", "deny"),
        ("anna", "grant", "done"),
        ("anna", "remove", "deny"),
        ("anna", "revoke", "done"),
        ("dora", "remove", "done"),
    ]


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / "host.pem", directory / "host.key"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, secret


@pytest.mark.anyio
async def test_tls_proves_who_the_server_is(serve, tmp_path, guest):
    chain, secret = certificate(tmp_path)
    tokens = tmp_path / "tokens"
    tokens.write_text(OWNER)
    tokens.chmod(0o600)
    server = serve(
        tmp_path / "state",
        *("--control", "https://localhost:0", "--token-file", tokens),
        *("--certificate", chain, "--key", secret),
    )
    address = server.control[1]
    assert address.startswith("https://localhost:")
    trusting = ssl.create_default_context(cafile=str(chain))
    async with Host.connect(address, token=OWNER, tls=trusting) as host:
        calc = await host.deploy(guest("calculator"), name="acme/calc")
        assert await calc.api.add(2, 3) == 5
        assert calc.history()[0].who == "token"
    with pytest.raises(ServerUnreachable, match="certificate"):
        async with Host.connect(address, token=OWNER):
            pass


def test_what_would_be_open_is_refused_at_the_start(serve, tmp_path):
    def refused(*options):
        with pytest.raises(AssertionError) as said:
            serve(tmp_path / "state", *options)
        return str(said.value)

    tokens = tmp_path / "tokens"
    tokens.write_text("x" * 40)
    tokens.chmod(0o644)
    assert "could do everything" in refused("--control", "tcp:127.0.0.1:0")
    assert "chmod 600" in refused("--control", "tcp:127.0.0.1:0", "--token-file", tokens)
    tokens.chmod(0o600)
    assert "in clear text" in refused("--control", "tcp:0.0.0.0:0", "--token-file", tokens)
    assert "needs a certificate" in refused(
        "--control", "https://127.0.0.1:0", "--token-file", tokens
    )
    tokens.write_text("short")
    assert "20 characters" in refused("--control", "tcp:127.0.0.1:0", "--token-file", tokens)
    assert "is no role" in refused("--user", "root=everything")
    assert InvalidSetting.default_code == "invalid-setting"
