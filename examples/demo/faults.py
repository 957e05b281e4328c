"""Components that trap or never end, beside those that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from airssys.wasm import Limits
from examples.demo.delivery import BUILT
from examples.demo.telling import chapter, fail, tell

if TYPE_CHECKING:
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from examples.demo.load import Load
    from examples.demo.server import Server


def contained(load: Load, host: BlockingConnectedHost, server: Server) -> None:
    """Let a request trap and another run away, beside the load."""
    chapter("requests that trap and run away")
    load.enter("beside faults")
    limits = Limits(call_timeout=0.5)
    host.deploy(BUILT / "http-faults.wasm", name="demo/faults", limits=limits)
    expected = {"/trap": 502, "/loop": 504, "/status/200": 200}
    with httpx.Client(base_url=f"http://{server.http}") as client:
        for path, status in expected.items():
            answer = client.get(path)
            said = answer.text if answer.is_success else "{title} ({type})".format(**answer.json())
            tell(f"GET {path}: {answer.status_code} {said.strip()}")
            if answer.status_code != status:
                raise fail(f"GET {path} answered {answer.status_code}, expected {status}")
