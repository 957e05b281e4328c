"""A greeting by a component: the most requests a second, and how long one takes at fewer."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from airssys.wasm import Host, HttpRoute
from benchmarks.http.load import latencies, throughput
from benchmarks.http.peer import wasmtime_serve
from benchmarks.row import Row, UnavailableError
from benchmarks.wasm.guests import guest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Turns of each, one after the other, so that whatever slows the machine slows both.
_ROUNDS: Final = 3
#: Requests a second at which times are measured; the client, in Python, keeps up with so many.
_MOST: Final = 1000
_PEER: Final = "wasmtime serve -Scli"


def rows(seconds: float) -> Iterator[Row]:
    """Measure the greeting, each candidate for about `seconds`."""
    component = guest("http-hello")
    with ExitStack() as running:
        directory = running.enter_context(tempfile.TemporaryDirectory())
        host = running.enter_context(Host.open_blocking(directory))
        site = host.deploy(component, name="bench/hello")
        ingress = running.enter_context(
            host.serve_http("127.0.0.1:0", routes=[HttpRoute("bench/hello")])
        )
        try:
            peer = running.enter_context(wasmtime_serve(component))
            note = ""
        except UnavailableError as missing:
            peer, note = None, f"without the peer: {missing}"
        addresses = [ingress.address] if peer is None else [ingress.address, peer]
        rates: list[list[float]] = [[] for _ in addresses]
        for _ in range(_ROUNDS):
            for rate, address in zip(rates, addresses, strict=True):
                rate.append(throughput(address, seconds / _ROUNDS))
        counted = site.statistics()
        # What wrk leaves when its time is over is cancelled, and no failure of the component's.
        failures = counted.failures - sum(each.cancelled for each in counted.revisions)
        if failures:
            raise RuntimeError(f"{failures} requests failed; the figures would say nothing")
        best = [max(rate) for rate in rates]
        yield Row(
            key="http/hello",
            what="HTTP hello (wasi:http), a fresh instance for each request",
            measured=best[0],
            unit="/s",
            better="higher",
            peer=None if peer is None else _PEER,
            peer_measured=None if peer is None else best[1],
            ratio_budget=1.0,
            note=note or "governed and counted; load by wrk on the same cores",
        )
        rate = min(min(best) / 4, _MOST)
        taken = [latencies(address, rate, seconds / 2) for address in addresses]
        for name, share in (("p50", 50), ("p99", 99)):
            found = [statistics.quantiles(each, n=100)[share - 1] for each in taken]
            yield Row(
                key=f"http/hello-{name}",
                what=f"the same, {name} at {rate:,.0f} requests a second",
                measured=found[0],
                unit="s",
                peer=None if peer is None else _PEER,
                peer_measured=None if peer is None else found[1],
                note="from when each was due, whether or not it could be sent then",
            )
