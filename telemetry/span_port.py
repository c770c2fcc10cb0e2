"""Spans and tracers as protocols, without a dependency on OpenTelemetry."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]
Kind = Literal["internal", "client"]
Parent = Mapping[str, str]
"""The caller's span, as W3C Trace Context headers (https://www.w3.org/TR/trace-context/)."""


class Span(Protocol):
    """One step, from its start to its end."""

    def child(self, name: str, attributes: Attributes, kind: Kind = "internal") -> "Span":
        """Start a step within this one."""

    def set(self, attributes: Attributes) -> None: ...

    def rename(self, name: str) -> None: ...

    def end(self, *, error: str = "", at: int | None = None) -> None:
        """End the span now, or `at` a moment (nanoseconds since 1970); `error` is the code of a failure."""


class Tracer(Protocol):
    """Creates spans, and sends them."""

    @property
    def captures_content(self) -> bool:
        """True if spans include messages."""

    def begin(self, name: str, attributes: Attributes, *, trace: int, parent: Parent) -> Span | None:
        """Start a trace, as a continuation of the parent or with the id `trace`; None if it is not sampled."""

    def close(self) -> None:
        """Send the remaining spans for a moment, and end. This blocks."""
