"""What a span is, and what makes one: values and protocols, without a word of OpenTelemetry's."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]
Kind = Literal["internal", "client"]
Parent = Mapping[str, str]
"""The caller's own span, in the headers of W3C Trace Context (https://www.w3.org/TR/trace-context/)."""


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
