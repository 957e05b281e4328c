"""Requests from outside to deployments of a server, by rules that follow them."""

from __future__ import annotations

import json

import pytest
from raw import ask

from airssys.wasm import Host

pytestmark = pytest.mark.timeout(240)


def test_requests_reach_deployments_as_they_come_and_go(serve, tmp_path, guest):
    server = serve(
        tmp_path / "state",
        *("--http", "127.0.0.1:0", "--route", "/calc=acme/calc:functions"),
        *("--route", "/add=acme/calc:add", "--route", "/site=acme/site"),
    )
    (address,) = server.http
    host, _, port = address.rpartition(":")

    def post(path: str, arguments: list[object]) -> tuple[int, object]:
        body = json.dumps(arguments).encode()
        headers = {"host": address, "content-type": "application/json"}
        status, _, answer = ask((host, int(port)), "POST", path, body=body, headers=headers)
        return status, json.loads(answer)

    assert post("/calc/add", [2, 3])[0] == 404
    with Host.connect_blocking(server.address) as connected:
        calc = connected.deploy(guest("calculator"), name="acme/calc")
        assert post("/calc/add", [2, 3]) == (200, 5)
        assert post("/add", [4, 5]) == (200, 9)
        assert calc.statistics().calls == 2
        shown = json.loads(ask(server.socket, "GET", "/v1/http")[2])
        assert [each["path"] for each in shown[0]["routes"]] == ["/calc", "/add"]
        assert (shown[0]["address"], shown[0]["statistics"]["successful"]) == (address, 2)
        metrics = ask(server.socket, "GET", "/metrics")[2].decode()
        assert f'airssys_http_answers_total{{listener="{address}",status="2xx"}} 2.0' in metrics
        connected.deploy(guest("http-hello"), name="acme/site")
        status, _, _ = ask((host, int(port)), "GET", "/site/hello", headers={"host": address})
        assert status in {200, 404}
        calc.remove()
    assert post("/calc/add", [2, 3])[0] in {404, 503}
    assert server.end()[0] == 0


def test_a_rule_that_is_none_is_refused(serve, tmp_path):
    for rule in ("acme/calc", "/x", "/x=", "x=acme/calc"):
        with pytest.raises(AssertionError, match="is no rule for requests"):
            serve(tmp_path / "state", "--http", "127.0.0.1:0", "--route", rule)
