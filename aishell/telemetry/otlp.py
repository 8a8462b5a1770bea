"""OpenTelemetry traces: spans of runs, steps and statements, sent to a collector over HTTP. Imported only when needed.

No work waits for a collector. A background thread sends spans; at the end of the command, when everything is written
and no lock is held, the rest gets two seconds. Lost spans are reported. Spans leave the host, so they contain neither
values of a statement nor messages of a server, which may quote values.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from aishell.databases.sanitised import sanitised
from aishell.errors import DatabaseError, WaitingError
from aishell.telemetry.spans import Span, Spans, Value
from aishell.version import VERSION

if TYPE_CHECKING:
    from aishell.databases.base import Session, Statement

#: Seconds allowed for one batch, and for the rest at the end of a command.
PATIENCE = 2.0
#: The most statements of a step that get spans; later ones are only counted.
MOST = 1000
_TRACE = re.compile(r"[0-9a-f]{32}")


class Exported(Spans):
    """Spans that are sent to a collector. `endpoint`: its URL, including /v1/traces."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        logger = logging.getLogger("opentelemetry")  # it logs the endpoint repeatedly; `close` reports once
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
        self._ids = _Ids()
        self._exporter = _Exporter(OTLPSpanExporter(endpoint, headers=dict(headers), timeout=PATIENCE))
        self._batches = _Batches(self._exporter, 2048, 5000, 512)
        own = {"service.name": "aishell", "service.version": VERSION, "host.name": socket.gethostname()}
        named = {"service.name": name} if (name := os.environ.get("OTEL_SERVICE_NAME")) else {}
        resource = Resource.create({**own, **named})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(self._batches)
        self._tracer = self._provider.get_tracer("aishell", VERSION)
        self._steps: dict[str, trace.Span] = {}  # marker -> its span
        self._sent: Counter[int] = Counter()  # id of a step's span -> statements
        self._guard = threading.Lock()

    @contextmanager
    def whole(self, name: str, trace_id: str, facts: Mapping[str, Value | None]) -> Iterator[Span]:
        own = trace_id if _TRACE.fullmatch(trace_id) else hashlib.sha256(trace_id.encode()).hexdigest()[:32]
        self._ids.trace = int(own, 16)
        given = {"traceparent": os.environ.get("TRACEPARENT", ""), "tracestate": os.environ.get("TRACESTATE", "")}
        context = TraceContextTextMapPropagator().extract(given)
        with self._within(self._tracer.start_span(name, context, SpanKind.INTERNAL, _kept(facts))) as span:
            yield span

    @contextmanager
    def step(self, tool: str, marker: str, facts: Mapping[str, Value | None]) -> Iterator[Span]:
        kept = self._tracer.start_span(tool, None, SpanKind.INTERNAL, _kept(facts))
        number = kept.get_span_context().span_id
        self._steps[marker] = kept
        try:
            with self._within(kept) as span:
                yield span
                if (more := self._sent[number] - MOST) > 0:
                    span.tell({"aishell.statements_not_traced": more})
        finally:
            del self._steps[marker]
            self._sent.pop(number, None)

    def statements(
        self, place: Mapping[str, Value | None]
    ) -> Callable[[Statement, Session], AbstractContextManager[None]]:
        return partial(self._statement, place)

    @contextmanager
    def _statement(self, place: Mapping[str, Value | None], statement: Statement, session: Session) -> Iterator[None]:
        """A client span, named by OpenTelemetry's stable semantic conventions for databases."""
        parent = self._steps.get(session.marker) or trace.get_current_span()
        number = parent.get_span_context().span_id
        if not number or not self._counted(number):
            yield
            return
        facts = {**place, **_named(statement, str(place["db.system.name"]))}
        name = f"{facts['db.operation.name']} {facts.get('db.namespace') or facts['db.system.name']}"
        span = self._tracer.start_span(name, trace.set_span_in_context(parent), SpanKind.CLIENT, _kept(facts))
        try:
            yield
        except DatabaseError as error:
            span.set_status(Status(StatusCode.ERROR, error.kind))
            span.set_attributes(_kept({"error.type": error.kind, "db.response.status_code": error.code or None}))
            raise
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            span.end()

    def _counted(self, number: int) -> bool:
        with self._guard:
            self._sent[number] += 1
            return self._sent[number] <= MOST

    @contextmanager
    def _within(self, kept: trace.Span) -> Iterator[Span]:
        span = _Kept(kept)
        try:
            with trace.use_span(kept, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield span
        except WaitingError:
            raise  # waiting for a person is not a failure
        except BaseException as error:
            span.failed(type(error).__name__)
            raise
        finally:
            kept.end()

    def close(self) -> str | None:
        """Send the remaining spans within PATIENCE; return a sentence about those lost, None without any."""
        sending = threading.Thread(target=self._batches.shutdown, daemon=True)  # it would wait for half a minute
        sending.start()
        sending.join(PATIENCE)
        lost = self._batches.ended - self._exporter.arrived
        return f"the collector of traces did not take {lost} span(s)" if lost else None


class _Kept(Span):
    """An OpenTelemetry span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
        self.parent = carrier.get("traceparent")

    def tell(self, facts: Mapping[str, Value | None]) -> None:
        self._span.set_attributes(_kept(facts))

    def failed(self, kind: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, kind))
        self._span.set_attribute("error.type", kind)


class _Ids(RandomIdGenerator):
    """Gives a trace the id of its run or workflow, so a process that resumes it after a kill continues the trace."""

    trace = 0

    def generate_trace_id(self) -> int:
        return self.trace or super().generate_trace_id()


class _Batches(BatchSpanProcessor):
    """Counts the spans that ended."""

    ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self.ended += 1
        super().on_end(span)


class _Exporter(SpanExporter):
    """Counts the spans that the collector accepted."""

    arrived = 0

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.arrived += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _named(statement: Statement, system: str) -> dict[str, Value]:
    text = sanitised(statement.sql, system)
    return {
        "db.query.text": text,
        "db.operation.name": (text.split(None, 1) or [""])[0].strip("(").upper(),
        "aishell.source": statement.source,
        "aishell.block": statement.block,
    }


def _kept(facts: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in facts.items() if value not in (None, "")}
