"""The network: live connections, and ways in that others have failed on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess

import pytest
from osl_world import ALL, rule

from airssys import osl
from airssys.osl import AccessDenied, OslError, PolicyError

LOCAL = 'addresses = ["127.0.0.0/8", "::1/128"]'


def network(accesses, target, *, effect="allow", more=LOCAL):
    return rule(accesses, kind="network", target=target, effect=effect, more=more)


BOTH = network(["connect"], "127.0.0.1:*") + rule(["listen"], kind="network", target="127.0.0.1:*")


async def echo(connection):
    async with connection:
        while data := await connection.receive():
            await connection.send(data)


def test_tcp_both_ways(world, act):
    system = world.system(BOTH)

    async def talk():
        async with await osl.listen("127.0.0.1", 0) as listener:
            serving = asyncio.create_task(echo_first(listener))
            async with await osl.connect("127.0.0.1", listener.port) as connection:
                big = os.urandom(300_000)
                sending = asyncio.create_task(connection.send(big))
                got = b""
                while len(got) < len(big):
                    got += await connection.receive()
                await sending
                assert got == big
            await serving
            await connection.close()
            with pytest.raises(OslError, match="closed"):
                await connection.send(b"x")

    async def echo_first(listener):
        await echo(await listener.accept())

    act(system, talk)
    assert [each[0] for each in world.decisions()] == ["network.listen", "network.connect"]


def test_udp_with_one_peer_and_with_many(world, act):
    system = world.system(BOTH)

    async def talk():
        async with await osl.open_socket("127.0.0.1") as many:
            async with await osl.connect("127.0.0.1", many.port, transport="udp") as one:
                await one.send(b"ping")
                data, sender = await many.receive()
                assert data == b"ping"
                await many.send(b"pong", *sender)
                assert await one.receive() == b"pong"
                with pytest.raises(AccessDenied):
                    await many.send(b"x", "192.0.2.1", 53)

    act(system, talk)


def test_unix_sockets_by_path(world, act):
    path = str(world.root / "s")
    system = world.system(network(["connect", "listen"], f"unix:{path}", more=""))

    async def talk():
        async with await osl.listen_unix(path) as listener:
            serving = asyncio.create_task(serve(listener))
            async with await osl.connect_unix(path) as connection:
                await connection.send(b"hello")
                assert await connection.receive() == b"hello"
            await serving
        assert not os.path.exists(path)

    async def serve(listener):
        await echo(await listener.accept())

    act(system, talk)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", str(directory / "key"), "-out", str(directory / "cert")],
        check=True,
        capture_output=True,
    )
    return directory


def test_tls_proves_the_name(world, act, certificate):
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate / "cert", certificate / "key")
    trusting = ssl.create_default_context(cafile=str(certificate / "cert"))
    system = world.system(BOTH)

    async def talk():
        async with await osl.listen("127.0.0.1", 0, tls=serving) as listener:

            async def serve():
                async for connection in listener:
                    await echo(connection)

            task = asyncio.create_task(serve())
            async with await osl.connect("127.0.0.1", listener.port, tls=trusting) as connection:
                await connection.send(b"hello")
                assert await connection.receive() == b"hello"
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def distrust():
        async with await osl.listen("127.0.0.1", 0, tls=serving) as listener:
            accepting = asyncio.create_task(listener.accept())
            with pytest.raises(ssl.SSLCertVerificationError):
                await osl.connect("127.0.0.1", listener.port, tls=True)
            with contextlib.suppress(OSError):
                await (await accepting).close()

    act(system, talk)
    act(system, distrust)


def test_a_right_that_ends_ends_what_rests_on_it_also_while_it_waits(world, act):
    system = world.system(BOTH)

    async def lose():
        listener = await osl.listen("127.0.0.1", 0)
        accepting = asyncio.create_task(listener.accept())
        connection = await osl.connect("127.0.0.1", listener.port)
        accepted = await accepting
        receiving = asyncio.create_task(connection.receive())
        waiting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        world.policy.write_text("")
        system.reload()
        async with asyncio.timeout(10):
            with pytest.raises(AccessDenied):
                await receiving
            with pytest.raises(AccessDenied):
                await waiting
        with pytest.raises(AccessDenied):
            await connection.send(b"x")
        with pytest.raises(AccessDenied):
            await accepted.send(b"x")
        for each in (connection, accepted, listener):
            await each.close()

    act(system, lose)


# -- ways in


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "2130706433",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "64:ff9b::7f00:1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "169.254.169.254",
        "::1",
        "::",
        "fe80::1",
    ],
)
def test_no_spelling_leads_inside_where_a_rule_allows_every_host(world, act, server, host):
    """A rule without `addresses` lets names lead to globally routable addresses alone."""
    port = server.getsockname()[1]
    system = world.system(
        rule(["connect"], kind="network", target="**:*")
        + rule(["resolve"], kind="network", target="**")
    )
    world.refused(act, system, lambda: osl.connect(host, port))


def test_a_name_that_leads_inside_is_refused_though_the_name_is_allowed(world, act, server):
    port = server.getsockname()[1]
    system = world.system(
        rule(["resolve"], kind="network", target="localhost")
        + rule(["connect"], kind="network", target="localhost:*")
    )
    world.refused(act, system, lambda: osl.connect("localhost", port))


def test_a_name_that_leads_elsewhere_on_second_thought(world, act, server, monkeypatch):
    """The answer is taken once: what was checked is what is connected."""
    port = server.getsockname()[1]
    system = world.system(
        rule(["resolve"], kind="network", target="rebind.example.com")
        + rule(["connect"], kind="network", target="rebind.example.com:*")
    )
    asked = []
    real = socket.getaddrinfo

    def answer(host, *args, **kwargs):
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)

    async def connect():
        async with asyncio.timeout(0.5):
            await osl.connect("rebind.example.com", port)

    with pytest.raises((TimeoutError, OSError, AccessDenied)):
        act(system, connect)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "host",
    ["user:pw@example.com", "example.com/x", "exa mple.com", "a\0b", "*.example.com", "", "%2e%2e"],
)
def test_what_is_no_host_is_refused(world, act, host):
    system = world.system(
        rule(["connect"], kind="network", target="**:*")
        + rule(["resolve"], kind="network", target="**")
    )
    world.refused(act, system, lambda: osl.connect(host, 80))


def test_a_wildcard_host_matches_no_address(world, act, server):
    system = world.system(
        network(["connect"], "**.example.com:*") + network(["connect"], "**:*", more="")
    )
    world.refused(act, system, lambda: osl.connect("127.0.0.1", server.getsockname()[1]))
    world.close()
    with pytest.raises(PolicyError):
        world.system(network(["connect"], "*.0.0.1:*"))


def test_udp_after_tcp_was_denied(world, act):
    system = world.system(network(["connect"], "127.0.0.1:*", more=LOCAL + '\ntransport = ["tcp"]'))
    world.refused(act, system, lambda: osl.connect("127.0.0.1", 9, transport="udp"))


def test_listening_where_it_is_not_granted(world, act):
    system = world.system(rule(["listen"], kind="network", target="127.0.0.1:8000-8999"))
    for host, port in [
        ("0.0.0.0", 8000),
        ("127.0.0.1", 80),
        ("::", 8000),
        ("127.0.0.2", 8000),
        ("::ffff:0.0.0.0", 8000),
    ]:
        world.refused(act, system, lambda h=host, p=port: osl.listen(h, p))
        world.refused(act, system, lambda h=host, p=port: osl.open_socket(h, p))


def test_unix_sockets_elsewhere_and_abstract_ones(world, act):
    (world.root / "in").mkdir()
    path = str(world.root / "secret.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.setblocking(False)
        (world.root / "in/link").symlink_to(path)
        allowed = f"unix:{world.root}/in/**"
        system = world.system(network(["connect", "listen"], allowed, more="") + rule(ALL))
        world.refused(act, system, lambda: osl.connect_unix(path))
        world.refused(act, system, lambda: osl.connect_unix(f"{world.root}/in/link"))
        world.refused(act, system, lambda: osl.connect_unix(f"{world.root}/in/../secret.sock"))
        world.refused(act, system, lambda: osl.connect_unix("\0abstract"))
        world.refused(act, system, lambda: osl.connect_unix("relative"))
        world.refused(act, system, lambda: osl.listen_unix(f"{world.root}/other"))
        world.refused(act, system, lambda: osl.listen_unix("\0abstract"))
        with pytest.raises(BlockingIOError):
            listening.accept()
