"""The terminal: the model's text goes to one stream and everything else to another, with or without colours."""

import os
from typing import TextIO

import msgspec

from chat.client.markdown import MarkdownOutput
from chat.client.rendering import Span, painted


class Outlet(msgspec.Struct, frozen=True):
    """A stream, and whether it supports colours."""

    stream: TextIO
    colour: bool


class Screen:
    """Writes each span at once. With `markdown`, answers are rendered."""

    def __init__(self, answers: Outlet, notes: Outlet, *, markdown: bool = False) -> None:
        self._answers = answers
        self._notes = notes
        self._markdown = MarkdownOutput(answers.stream) if markdown else None

    def show(self, span: Span) -> None:
        if self._markdown is not None:
            if span.style == "answer":
                self._markdown.write(span.text)
                return
            self._markdown.end()
        outlet = self._answers if span.style == "answer" else self._notes
        outlet.stream.write(painted(span) if outlet.colour else span.text)
        outlet.stream.flush()


def outlet(stream: TextIO, *, plain: bool, forced: bool = False) -> Outlet:
    """Return an outlet, in colour if the stream is a terminal with colours and `NO_COLOR` is not set.

    https://no-color.org
    """
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return Outlet(stream, forced or (terminal and not plain))
