"""Deployments of a host that ask each other, with what they were granted."""

from __future__ import annotations

import pytest
from deputy_world import COMPONENTS

from airssys.osl import Principal, read_records
from airssys.wasm import Directory, Host
from airssys.wasm.actors import ActorSettings

pytestmark = pytest.mark.anyio

A, B = "acme/asker", "acme/deputy"
REFUSED = {"error": "PermissionDenied"}
WRITE = {"path": "/data/**", "access": ["write", "create"]}


@pytest.fixture
async def host(tmp_path):
    (tmp_path / "data").mkdir()
    async with Host.open(tmp_path / "state") as host:
        yield host


@pytest.fixture
def deploy(host, tmp_path):
    async def deploy(name, **capabilities):
        return await host.deploy(
            COMPONENTS / "actor-puppet.wasm",
            name=name,
            lifetime="actor",
            actor=ActorSettings(codec="json"),
            capabilities=capabilities,
            mounts={"/data": Directory(tmp_path / "data", write=True)},
            grant="requested",
        )

    return deploy


def chains(host):
    host.osl.audit.flush()
    records = read_records(host.directory / "audit", operation="filesystem")
    return [(each.principal, each.callers, each.decision) for each in records]


async def test_a_deployment_lends_its_rights_to_nobody(host, deploy, tmp_path):
    a = await (await deploy(A, messaging=[{"ask": B}])).start()
    b = await (await deploy(B, filesystem=[WRITE])).start()
    write = {"do": [["write", "/data/x", "1"]]}
    through = {"do": [["ask", B, write, 30]]}
    assert await b.ask(write) == [{"ok": None}]
    assert await a.ask(through) == [{"ok": [REFUSED]}]
    await deploy(A, messaging=[{"ask": B}], filesystem=[WRITE])
    assert await a.ask(through) == [{"ok": [{"ok": None}]}], "both were granted it now"
    whole = {(who, callers) for who, callers, _ in chains(host)}
    assert whole == {(B, ()), (B, (A,))}


async def test_a_grant_may_let_a_deployment_answer_for_itself_or_be_for_one_caller(host, deploy):
    a = await (await deploy(A, messaging=[{"ask": B}])).start()
    deployment = await deploy(B, filesystem=[WRITE])
    await deployment.start()
    through = {"do": [["ask", B, {"do": [["write", "/data/x", "1"]]}, 30]]}
    for caller, expected in ((None, {"ok": None}), ("acme/other", REFUSED), (A, {"ok": None})):
        await deployment.revoke("all")
        await deployment.grant(act_as="self", caller=caller)
        assert await a.ask(through) == [{"ok": [expected]}]


async def test_a_person_is_a_caller_too(host, deploy):
    b = await (await deploy(B, filesystem=[WRITE])).start()
    write = {"do": [["write", "/data/x", "1"]]}
    with host.osl.acting_as(Principal("alice")):
        assert await b.ask(write) == [REFUSED]
    assert await b.ask(write) == [{"ok": None}]
    assert chains(host)[0] == (B, ("alice",), "deny")
    assert {(callers, decision) for _, callers, decision in chains(host)[1:]} == {((), "allow")}
