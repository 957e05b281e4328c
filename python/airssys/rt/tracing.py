"""Trace context in envelopes (W3C), and OpenTelemetry spans where the API has a provider."""

from __future__ import annotations

import importlib
import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt.middleware import Delivery

__all__ = ["Tracing", "traceparent"]

#: The W3C `traceparent` of the work being done; messages sent now carry it on.
traceparent: ContextVar[str | None] = ContextVar("airssys_traceparent", default=None)


def child_of(parent: str | None) -> str:
    """A new span's `traceparent` in the trace of `parent`, or in a new trace.

    The format is that of https://www.w3.org/TR/trace-context/.
    """
    parts = parent.split("-") if parent else []
    if len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16:
        return f"00-{parts[1]}-{secrets.token_hex(8)}-{parts[3]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


class Tracing:
    """Middleware that carries traces from message to message.

    With the OpenTelemetry API installed and a provider set, each delivery is a span `process` by
    the messaging conventions, and its context is the parent of what the handler sends.
    """

    def __init__(self) -> None:
        self._otel = _provided_otel()

    def __call__(self, delivery: Delivery) -> None:
        """Open a span around the handler."""
        if self._otel is not None:
            delivery.inside(lambda: self._otel_span(delivery))
        else:
            delivery.inside(lambda: self._own_span(delivery))

    def current(self) -> str | None:
        """The `traceparent` that a message sent now carries."""
        if self._otel is None:
            return traceparent.get()
        carrier: dict[str, str] = {}
        self._otel["inject"](carrier)
        return carrier.get("traceparent")

    def _own_span(self, delivery: Delivery) -> Callable[[BaseException | None], object]:
        token = traceparent.set(child_of(delivery.trace))

        def end(_error: BaseException | None) -> None:
            traceparent.reset(token)

        return end

    def _otel_span(self, delivery: Delivery) -> Callable[[BaseException | None], object]:
        otel = self._otel or {}
        context = otel["extract"]({"traceparent": delivery.trace} if delivery.trace else {})
        tracer = otel["trace"].get_tracer("airssys.rt")
        manager = tracer.start_as_current_span(
            f"process {delivery.handler}",
            context=context,
            kind=otel["trace"].SpanKind.CONSUMER,
            attributes={
                "messaging.system": "airssys",
                "messaging.operation.type": "process",
                "messaging.operation.name": delivery.handler,
                "messaging.destination.name": delivery.ref.path,
            },
        )
        manager.__enter__()

        def end(error: BaseException | None) -> None:
            if error is None:
                manager.__exit__(None, None, None)
            else:
                try:
                    suppressed = manager.__exit__(type(error), error, error.__traceback__)
                except BaseException as raised:
                    if raised is not error:
                        raise
                else:
                    del suppressed

        return end


def _provided_otel() -> dict[str, Any] | None:
    try:
        trace = importlib.import_module("opentelemetry.trace")
        propagate = importlib.import_module("opentelemetry.propagate")
    except ImportError:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    return {"trace": trace, "inject": propagate.inject, "extract": propagate.extract}
