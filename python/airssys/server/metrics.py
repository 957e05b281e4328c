"""What a host counts, in the text format of Prometheus. No label has values without a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from airssys.server.http import HttpFront
    from airssys.server.service import Service
    from airssys.wasm.accounting import DeploymentStatistics, RevisionStatistics

__all__ = ["MEDIA_TYPE", "metrics_of"]

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Deployments that have labels of their own, by name; all others are `other`.
MOST_DEPLOYMENTS: Final = 1000
#: Revisions of a deployment that have labels of their own, the latest; the others are `older`.
MOST_REVISIONS: Final = 5
OUTCOMES: Final = ("ok", "trap", "limit", "cancelled", "failure")
_LABELS: Final = ("deployment", "revision")


def metrics_of(service: Service) -> bytes:
    """Return everything that there is to count now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Host(service))
    return generate_latest(registry)


class _Host(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the families of metrics."""
        core = self._service.core
        found = {}
        held = 0
        for name in core.deployments.names():
            serving = core.deployments.serving(name)
            held += serving.held is not None
            found[name] = serving.statistics()
        yield _gauge("airssys_deployments", "Deployments.", len(found))
        yield _gauge("airssys_deployments_held", "Deployments that take no calls.", held)
        yield _gauge("airssys_start_time_seconds", "Since when it serves.", self._service.started)
        yield _gauge("airssys_draining", "Whether it ends.", float(self._service.ending.is_set()))
        yield from _of_deployments(found)
        if self._service.front is not None:
            yield from _of_requests(self._service.front)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _outcomes(each: RevisionStatistics) -> tuple[int, ...]:
    failed = (each.traps, each.limits, each.cancelled, each.other_failures)
    return (each.calls - sum(failed), *failed)


def _labelled(
    found: dict[str, DeploymentStatistics],
) -> Iterator[tuple[tuple[str, str], RevisionStatistics]]:
    for place, (name, statistics) in enumerate(sorted(found.items())):
        shown = name if place < MOST_DEPLOYMENTS else "other"
        latest = {each.revision for each in statistics.revisions[-MOST_REVISIONS:]}
        for each in statistics.revisions:
            own = each.revision in latest and shown != "other"
            yield (shown, str(each.revision) if own else "older"), each


def _of_requests(front: HttpFront) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        "airssys_http_answers",
        "Answers to requests from outside, by class of status.",
        labels=("listener", "status"),
    )
    open_now = GaugeMetricFamily(
        "airssys_http_connections", "Connections from outside now.", labels=("listener",)
    )
    for each in front.ingresses:
        counts = each.statistics()
        for status, count in (
            ("1xx", counts.informational),
            ("2xx", counts.successful),
            ("3xx", counts.redirected),
            ("4xx", counts.client_errors),
            ("5xx", counts.server_errors),
        ):
            answers.add_metric((each.address, status), count)
        open_now.add_metric((each.address,), counts.connections)
    yield from (answers, open_now)


def _of_deployments(found: dict[str, DeploymentStatistics]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "airssys_calls",
        "Calls that ended, and messages that were handled.",
        labels=(*_LABELS, "outcome"),
    )
    counters = {
        "cpu_seconds": CounterMetricFamily(
            "airssys_cpu_seconds", "Processor time of guests.", labels=_LABELS
        ),
        "host_calls": CounterMetricFamily(
            "airssys_host_calls", "Calls of host functions by guests.", labels=_LABELS
        ),
        "bytes_in": CounterMetricFamily(
            "airssys_bytes_in", "Bytes copied to guests.", labels=_LABELS
        ),
        "bytes_out": CounterMetricFamily(
            "airssys_bytes_out", "Bytes copied from guests.", labels=_LABELS
        ),
    }
    gauges = {
        "in_flight": GaugeMetricFamily("airssys_calls_in_flight", "Calls now.", labels=_LABELS),
        "instances": GaugeMetricFamily("airssys_instances", "Instances now.", labels=_LABELS),
        "memory": GaugeMetricFamily(
            "airssys_memory_bytes", "Linear memory of the instances.", labels=_LABELS
        ),
    }
    latency = GaugeMetricFamily(
        "airssys_call_latency_seconds",
        "Quantiles of the latency of a revision's calls since the start.",
        labels=(*_LABELS, "quantile"),
    )
    sums: dict[tuple[str, str], dict[str, float]] = {}
    outcomes: dict[tuple[str, str], list[int]] = {}
    for labels, each in _labelled(found):
        own = sums.setdefault(labels, dict.fromkeys((*counters, *gauges), 0))
        for name in own:
            own[name] += getattr(each, name)
        counts = outcomes.setdefault(labels, [0] * len(OUTCOMES))
        outcomes[labels] = [a + b for a, b in zip(counts, _outcomes(each), strict=True)]
        if labels[1] != "older":
            latency.add_metric((*labels, "0.5"), each.p50)
            latency.add_metric((*labels, "0.99"), each.p99)
    for labels, own in sums.items():
        for name, counter in counters.items():
            counter.add_metric(labels, own[name])
        for name, gauge in gauges.items():
            gauge.add_metric(labels, own[name])
        for outcome, count in zip(OUTCOMES, outcomes[labels], strict=True):
            calls.add_metric((*labels, outcome), count)
    yield from (calls, *counters.values(), *gauges.values(), latency)
