"""Traces, where an endpoint is set that takes them: until then nothing of OpenTelemetry is loaded."""

import asyncio
import importlib
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import Final

from telemetry import conf
from telemetry.span_port import Parent, Tracer

HEADERS: Final = frozenset({b"traceparent", b"tracestate"})

caller: ContextVar[Parent] = ContextVar("caller", default={})  # noqa: B039 - nobody changes it
"""Of the request that is being answered."""


@cache
def tracer() -> Tracer | None:
    """That of this process; None while no endpoint is set."""
    if not conf.traces_endpoint():
        return None
    made: Tracer = importlib.import_module("telemetry.otlp").OtlpTracer()
    return made


def hear(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Remembers the caller's span for what is begun from here on."""
    if tracer() is not None:
        caller.set({name.decode(): value.decode("latin-1") for name, value in headers if name in HEADERS})


async def close() -> None:
    current = tracer()
    if current is not None:
        await asyncio.to_thread(current.close)
