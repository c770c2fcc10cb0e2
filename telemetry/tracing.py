"""Tracing, if an endpoint is configured."""

import asyncio
import importlib
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import Final

from telemetry import conf
from telemetry.span_port import Parent, Tracer

HEADERS: Final = frozenset({b"traceparent", b"tracestate"})

caller: ContextVar[Parent] = ContextVar("caller", default={})  # noqa: B039 - it is never changed
"""The caller's span of the current request."""


@cache
def tracer() -> Tracer | None:
    """Return the tracer of this process; None if no endpoint is configured."""
    if not conf.traces_endpoint():
        return None
    # Imported by name and only here, so that a service without traces does not load OpenTelemetry.
    made: Tracer = importlib.import_module("telemetry.otlp").OtlpTracer()
    return made


def remember_caller(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Store the caller's span for everything that this request starts."""
    if tracer() is not None:
        caller.set({name.decode(): value.decode("latin-1") for name, value in headers if name in HEADERS})


async def close() -> None:
    current = tracer()
    if current is not None:
        # Closing blocks until the last spans are sent, and the event loop may still serve.
        await asyncio.to_thread(current.close)
