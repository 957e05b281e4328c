"""Functions that are called by JSON bodies."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airssys.wasm import HttpLimits, HttpRoute, InvalidSetting
from airssys.wasm.host import Host


def code(document) -> str:
    return document["type"].removeprefix("urn:airssys:problem:")


@pytest.fixture
def calc(serve, client):
    """A client of functions below `/calc`."""
    route = HttpRoute("acme/site", path="/calc", handling="functions")
    ingress, deployment = serve("calculator", routes=[route])
    made = client(ingress.address)
    made.deployment = deployment
    return made


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/calc/add", [2, 3], 5),
        ("/calc/version", [], "1.0.0"),
        ("/calc/version", {}, "1.0.0"),
        ("/calc/version", b"", "1.0.0"),
        ("/calc/divide", [7, 2], 3),
        ("/calc/demo:calc/ops/divide", {"dividend": 7, "divisor": "2"}, 3),
    ],
)
def test_a_function_answers(calc, path, body, expected, settled):
    assert calc.post(path, body) == (200, expected)
    assert settled(calc.deployment).statistics().failures == 0


def test_the_error_of_a_result_is_a_problem_but_no_failure(calc, settled):
    status, problem = calc.post("/calc/divide", [1, 0])
    assert (status, code(problem)) == (400, "declared-error")
    assert problem["error"] is not None
    statistics = settled(calc.deployment).statistics()
    assert (statistics.calls, statistics.failures) == (1, 0)


def test_an_unknown_function_is_told_with_near_names(calc):
    status, problem = calc.post("/calc/devide", [1, 2])
    assert (status, code(problem)) == (404, "unknown-function")
    assert problem["near"] == ["demo:calc/ops#divide"]


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ([1], "$", "takes 2 arguments"),
        ([1, "x"], "$[1]", "is no"),
        ([1, -1], "$[1]", "is no"),
        ([1, 1.5], "$[1]", "is no"),
        ([1, None], "$[1]", "got null"),
        ({"a": 1, "b": 2, "c": 3}, "$", "'c' is none of"),
        ({"a": 1}, "$", "'b' is missing"),
        ("text", "$", "an array by position, or an object by name"),
    ],
)
def test_wrong_arguments_are_told_with_their_place(calc, body, path, reason, settled):
    status, problem = calc.post("/calc/add", body)
    assert (status, code(problem)) == (422, "arguments")
    assert problem["path"] == path
    assert reason in problem["detail"]
    assert settled(calc.deployment).statistics().calls == 0


def test_what_is_no_call_is_refused(calc, settled):
    status, headers, _ = calc.request("GET", "/calc/add")
    assert (status, headers["allow"]) == (405, "POST")
    status, _, _ = calc.request("POST", "/calc/add", b"[1, 2]")
    assert status == 415
    status, problem = calc.post("/calc/add", b"[1, 2")
    assert (status, code(problem)) == (400, "not-json")
    assert "column" in problem["detail"]
    assert settled(calc.deployment).statistics().calls == 0


def test_a_rule_may_name_the_function(serve, client):
    route = HttpRoute("acme/site", path="/sum", handling="function", function="add")
    ingress, _ = serve("calculator", routes=[route])
    ask = client(ingress.address)
    assert ask.post("/sum", [2, 3]) == (200, 5)
    assert ask.post("/sum/x", [2, 3])[0] == 404
    with pytest.raises(InvalidSetting, match="goes with the name"):
        HttpRoute("acme/site", handling="function")
    with pytest.raises(InvalidSetting, match="two keys"):
        HttpRoute("acme/site", key_header="a", key_cookie="b")
    with pytest.raises(InvalidSetting, match="not known"):
        HttpRoute("acme/site", handling="soap")


POINT = {"x": -1, "y": 2}
ADDRESS = {"street": "s", "number": 65535, "location": POINT}
PERSON = {"name": "n", "age": 255, "tags": ["a"], "photo": "AAEC", "home": ADDRESS, "others": []}


@pytest.fixture
def echo(serve, client):
    route = HttpRoute("acme/site", handling="functions")
    ingress, _ = serve("echo", routes=[route])
    return client(ingress.address)


@pytest.mark.parametrize(
    ("function", "values"),
    [
        ("scalars/echo-bool", [True, False]),
        ("scalars/echo-s8", [-128, 127]),
        ("scalars/echo-u64", [0, 2**64 - 1]),
        ("scalars/echo-s64", [-(2**63), 2**63 - 1]),
        ("scalars/echo-f32", [0.1, -2.5, "NaN", "Infinity"]),
        ("scalars/echo-f64", [0.1, 1e300, "-Infinity"]),
        ("scalars/echo-char", ["x", "☃"]),
        ("scalars/echo-string", ["", 'naïve ☃ \u0000 "']),
        ("lists/echo-bytes", ["", "AAEC/w=="]),
        ("lists/echo-s16s", [[], [-32768, 32767]]),
        ("lists/echo-f64s", [[0.5, "NaN"]]),
        ("lists/echo-strings", [["a", ""]]),
        ("lists/echo-matrix", [[[1], [], [2, 3]]]),
        ("lists/echo-pairs", [[[1, "a"]]]),
        ("lists/echo-optional-items", [[None, 1]]),
        ("records/echo-person", [PERSON, PERSON | {"photo": None}]),
        ("records/echo-nested-tuple", [[[1, "AA=="], POINT, ["x"]]]),
        ("variants/echo-color", ["dark-blue"]),
        ("variants/echo-shape", ["empty", {"circle": 0.5}, {"rectangle": [1.0, 2.0]}]),
        ("variants/echo-shape", [{"drawn-by": PERSON}, {"maybe": None}, {"outcome": {"err": "e"}}]),
        ("variants/echo-permission", [[], ["read", "execute"]]),
        ("variants/echo-flags32", [["b0", "b31"]]),
        ("options/echo-u32", [None, 7]),
        ("options/echo-twice", [None, [None], [7]]),
        ("options/echo-thrice", [None, [None], [[None]], [["x"]]]),
        ("results/echo-in-option", [None, {"ok": 1}, {"err": "e"}]),
        ("results/echo-in-tuple", [[{"ok": None}, {"ok": 1}, {"err": True}]]),
    ],
)
def test_values_come_back_as_they_went(echo, function, values):
    for value in values:
        assert echo.post(f"/demo:echo/{function}", [value]) == (200, value)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        ("scalars/echo-u64", "18446744073709551615", 2**64 - 1),
        ("scalars/echo-u8", 2.0, 2),
        ("lists/echo-bytes", [0, 255], "AP8="),
        ("results/echo-both", {"ok": 5}, 5),
        ("records/echo-person", {k: v for k, v in PERSON.items() if k != "photo"}, None),
    ],
)
def test_values_are_taken_in_more_than_one_spelling(echo, function, value, expected):
    if expected is None:
        expected = PERSON | {"photo": None}
    assert echo.post(f"/demo:echo/{function}", [value]) == (200, expected)


@pytest.mark.parametrize(
    ("function", "value", "path"),
    [
        ("scalars/echo-u8", 256, "$[0]"),
        ("scalars/echo-char", "ab", "$[0]"),
        ("lists/echo-bytes", "no base64!", "$[0]"),
        ("lists/echo-pairs", [[1, "a"], [1]], "$[0][1]"),
        ("records/echo-person", PERSON | {"home": ADDRESS | {"number": -1}}, "$[0].home.number"),
        ("records/echo-point", {"x": 1, "y": 2, "z": 3}, "$[0]"),
        ("variants/echo-color", "blue", "$[0]"),
        ("variants/echo-shape", {"circle": "x"}, "$[0].circle"),
        ("variants/echo-shape", "circle", "$[0]"),
        ("variants/echo-permission", ["read", "fly"], "$[0][1]"),
        ("options/echo-twice", 7, "$[0]"),
        ("results/echo-both", {"neither": 1}, "$[0]"),
    ],
)
def test_values_that_do_not_fit_are_told_with_their_place(echo, function, value, path):
    status, problem = echo.post(f"/demo:echo/{function}", [value])
    assert (status, code(problem), problem["path"]) == (422, "arguments", path)


def test_nothing_is_no_content(echo):
    assert echo.post("/demo:echo/scalars/nothing", []) == (204, None)
    assert echo.post("/demo:echo/results/echo-empty", [{"ok": None}]) == (204, None)


def test_a_body_beyond_the_limit_is_refused(serve, client):
    route = HttpRoute("acme/site", handling="functions")
    ingress, _ = serve("calculator", routes=[route], limits=HttpLimits(body_bytes=100))
    status, problem = client(ingress.address).post("/add", [1] * 100)
    assert (status, code(problem)) == (413, "body-too-large")


@pytest.mark.parametrize("lifetime", ["call", "pooled"])
def test_host_functions_in_python_answer(tmp_path, guest, client, lifetime, caplog, settled, until):
    """Plain and awaited ones, and one that fails, of which the client learns no more."""
    asked = []

    async def pull(size):
        asked.append(size)
        await asyncio.sleep(0)
        if size == 13:
            raise RuntimeError("nothing here")
        return bytes(size)

    provides = {"demo:faults/sink": {"push": lambda data: asked.append(len(data)), "pull": pull}}
    with Host.open_blocking(tmp_path / "state", provides=provides) as host:
        faults = host.deploy(guest("faults"), name="acme/site", lifetime=lifetime)
        route = HttpRoute("acme/site", handling="functions")
        with host.serve_http("127.0.0.1:0", routes=[route]) as ingress:
            ask = client(ingress.address)
            assert ask.post("/drain", [3, 5]) == (200, 15)
            assert ask.post("/flood", [2, 7]) == (204, None)
            assert asked == [5, 5, 5, 7, 7]
            status, problem = ask.post("/drain", [1, 13])
            assert (status, code(problem)) == (502, "host-function")
            assert "nothing here" not in str(problem)
            assert ask.post("/drain", [1, 1]) == (200, 1)
        # Told by another thread than the one that answers, as long as the host is open.
        until(lambda: "nothing here" in caplog.text)
        assert (settled(faults).statistics().calls, settled(faults).statistics().failures) == (4, 1)


@pytest.mark.anyio
async def test_host_functions_run_on_the_loop_of_an_awaited_host(tmp_path, guest, client):
    threads = []

    async def pull(size):
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return bytes(size)

    provides = {"demo:faults/sink": {"push": len, "pull": pull}}
    async with Host.open(tmp_path / "state", provides=provides) as host:
        await host.deploy(guest("faults"), name="acme/site")
        route = HttpRoute("acme/site", handling="functions")
        ingress = await host.serve_http("127.0.0.1:0", routes=[route])
        answer = await asyncio.to_thread(client(ingress.address).post, "/drain", [1, 5])
        assert answer == (200, 5)
    assert threads == [threading.main_thread()]
