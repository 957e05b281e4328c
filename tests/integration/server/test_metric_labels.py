"""What a hostile guest names (topics, hosts, files, events …) makes no series of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from raw import ask

from airssys.wasm import Host, Limits
from airssys.wasm.actors import ActorSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

NAME = "flood/guest"
MANY = 150
ANSWERS = 12  # to what a guest names at once; lines for the log have none
ASKED = {
    "messaging": [{"publish": "flood.**"}, {"subscribe": "flood.**"}, {"send": "flood/**"}],
    "network": [{"connect": "*.flood.example:443"}],
}
LIMITS = Limits(audit_records_per_second=1_000_000, log_lines_per_second=1_000_000)


def naming(number: int) -> list[list[object]]:
    """Actions that name something of every sort that a guest can name."""
    name = f"flooded{number:04}"
    return [
        ["publish", f"flood.{name}", {}],
        ["subscribe", f"flood.{name}.*"],
        ["tell", f"flood/{name}", {}],
        ["tell", f"other/{name}", {}],
        ["ask", f"flood/{name}#{name}", {}, 0.001],
        ["broadcast", f"flood/{name}*", {}],
        ["log", "warning", name, {name: name}],
        ["wasi-log", "warn", name, name],
        ["emit", name, {name: name}],
        ["check", "http", name.upper(), f"https://{name}.flood.example/{name}"],
        ["check", name, name, name],
        ["connect", f"10.9.{number >> 8}.{number & 255}:{1024 + number}"],
        ["connect", f"{name}.flood.example:443"],
        ["open", f"/{name}", "r"],
    ]


def series(server: object) -> set[str]:
    """Names and labels of everything that is served."""
    status, _, body = ask(server.socket, "GET", "/metrics")
    assert status == 200
    lines = body.decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def test_what_a_guest_names_is_no_label(serve, tmp_path: Path, guest) -> None:
    server = serve(tmp_path / "state", "--http", "127.0.0.1:0", "--route", f"/x={NAME}:functions")
    host, _, port = server.http[0].rpartition(":")
    with Host.connect_blocking(server.address) as connected:
        flood = connected.deploy(
            guest("actor-puppet"),
            name=NAME,
            lifetime="actor",
            actor=ActorSettings(codec="json"),
            capabilities=ASKED,
            grant="requested",
            limits=LIMITS,
        )

        def run(numbers: range) -> list[object]:
            actions = [action for number in numbers for action in naming(number)]
            return flood.actor().ask({"do": actions}, timeout=120.0)

        def request(number: int) -> int:
            path = f"/x/flooded{number:04}?flooded{number:04}"
            headers = {"host": f"flooded{number:04}.example", f"x-flooded{number:04}": "1"}
            return ask((host, int(port)), f"FLOODED{number:04}", path, headers=headers)[0]

        given = run(range(1))
        # All of it reaches the host: what is allowed is done, what is not is refused.
        assert len(given) == ANSWERS, given
        assert ("ok" in given[0], given[1]) == (True, {"ok": None}), given
        assert given[3]["error"] == "not-permitted", given
        assert all("error" in each for each in given[-3:]), given
        assert request(0) >= 400
        before = series(server)
        for start in range(50, MANY, 50):
            assert len(run(range(start, start + 50))) == 50 * ANSWERS
        # Each actor is one of the same deployment, whatever its key.
        for number in range(10):
            flood.actor(f"flooded{number:04}").tell({"do": [["give", 1]]})
            assert request(number) >= 400
        assert flood.actor("flooded0009").ask({"do": [["give", 1]]}, timeout=60.0) == [1]
        after = series(server)
    assert after == before
    assert any(f'deployment="{NAME}"' in each for each in after)
    assert not [each for each in after if "flooded" in each.lower()]
    assert server.end()[0] == 0
