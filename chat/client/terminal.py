"""Where spans go: the model's words to one stream, all else to another, each with colours or without."""

import os
from typing import TextIO

import msgspec

from chat.client.rendering import Span, painted


class Outlet(msgspec.Struct, frozen=True):
    """A stream, and whether it takes colours."""

    stream: TextIO
    colour: bool


class Screen:
    """Shows each span at once."""

    def __init__(self, answers: Outlet, notes: Outlet) -> None:
        self._answers = answers
        self._notes = notes

    def show(self, span: Span) -> None:
        outlet = self._answers if span.style == "answer" else self._notes
        outlet.stream.write(painted(span) if outlet.colour else span.text)
        outlet.stream.flush()


def outlet(stream: TextIO, *, plain: bool, forced: bool = False) -> Outlet:
    """An outlet in colour where the stream is a terminal that has them and nobody objects (https://no-color.org)."""
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return Outlet(stream, forced or (terminal and not plain))
