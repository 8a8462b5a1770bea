"""A collector of OpenTelemetry's on this host: it takes spans over HTTP, and refuses, or hangs, when told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.sinks import served

#: Numbers of the protocol: a span's kind, and a status of an error.
INTERNAL, CLIENT, ERROR = 1, 3, 2


@dataclass(frozen=True)
class Got:
    """A span as it arrived."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    failed: str | None  # what its status says, where that is an error
    facts: dict[str, Any]
    resource: dict[str, Any]
    began: int
    ended: int


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.hanging.is_set():
            self.server.closing.wait()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.refusing.is_set():
            self.server.take(ExportTraceServiceRequest.FromString(body))
        self.send_response(503 if self.server.refusing.is_set() else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *told: Any) -> None:
        """The tests look at what it got."""


class Collector(ThreadingHTTPServer):
    """`spans` are those that arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        self.spans: list[Got] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refusing, self.hanging, self.closing = threading.Event(), threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), _Taking)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                for one in scope.spans:
                    failed = one.status.message if one.status.code == ERROR else None
                    times = one.start_time_unix_nano, one.end_time_unix_nano
                    ids = one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()
                    self.spans.append(Got(one.name, *ids, one.kind, failed, _values(one.attributes), about, *times))

    def below(self, parent: str) -> list[Got]:
        """The spans of a parent, in the order in which they began."""
        return sorted((span for span in self.spans if span.parent == parent), key=lambda span: span.began)


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    with served(Collector()) as server:
        yield server
