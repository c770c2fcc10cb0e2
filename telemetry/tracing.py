"""Traces, where an endpoint is set that takes them: until then nothing of OpenTelemetry is loaded."""

import asyncio
import importlib
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Final, Literal, Protocol

from telemetry import conf

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]
Kind = Literal["internal", "client"]
Parent = Mapping[str, str]
"""The caller's own span, in the headers of W3C Trace Context (https://www.w3.org/TR/trace-context/)."""

HEADERS: Final = frozenset({b"traceparent", b"tracestate"})

caller: ContextVar[Parent] = ContextVar("caller", default={})  # noqa: B039 - nobody changes it
"""Of the request that is being answered."""


class Span(Protocol):
    """One step, from its making to its end."""

    def child(self, name: str, attributes: Attributes, kind: Kind = "internal") -> "Span":
        """A step within this one, which begins now."""

    def set(self, attributes: Attributes) -> None: ...

    def rename(self, name: str) -> None: ...

    def end(self, *, error: str = "", at: int | None = None) -> None:
        """Ends it now, or `at` a moment (nanoseconds since 1970); `error` is the code of what failed."""


class Tracer(Protocol):
    """Makes spans, and sends them."""

    @property
    def captures_content(self) -> bool:
        """Whether spans hold what was said."""

    def begin(self, name: str, attributes: Attributes, *, trace: int, parent: Parent) -> Span | None:
        """The first span of a trace, which goes on with the parent's or has the id `trace`; None where none is kept."""

    def close(self) -> None:
        """Sends what is left, for a moment, and ends. It blocks."""


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
