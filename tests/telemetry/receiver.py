"""A trace collector that accepts OTLP over HTTP and keeps the received spans."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.servers import wait_until


class Collector:
    """The received spans; `paths` and `headers` are those of the requests."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.resource: dict[str, Any] = {}
        self._spans: list[Span] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.requests.append((path, headers))
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = values(group.resource.attributes)
            self._spans += [span for scope in group.scope_spans for span in scope.spans]

    def spans(self, count: int) -> list[Span]:
        """Return the first `count` spans by start time, once that many have arrived."""
        wait_until(lambda: len(self._spans) >= count)
        return sorted(self._spans, key=lambda span: (span.start_time_unix_nano, span.end_time_unix_nano * -1))

    def one(self, name: str) -> Span:
        (span,) = [span for span in self._spans if span.name == name]
        return span


def values(attributes: Any) -> dict[str, Any]:
    return {attribute.key: value(attribute.value) for attribute in attributes}


def value(of: AnyValue) -> Any:
    kind = of.WhichOneof("value")
    found = getattr(of, kind or "string_value")
    return [value(item) for item in found.values] if kind == "array_value" else found


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
