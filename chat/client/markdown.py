"""Markdown at a terminal, rendered while it arrives.

Finished blocks are printed once. Only the unfinished last one is drawn again as it grows.
"""

import re
import time
from typing import Final, TextIO

from markdown_it import MarkdownIt
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

REDRAW_SECONDS: Final = 0.1

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


class MarkdownOutput:
    """Renders the text of one answer on a terminal. `width` replaces the terminal's own."""

    def __init__(self, stream: TextIO, width: int | None = None) -> None:
        self._console = Console(file=stream, force_terminal=True, highlight=False, width=width)
        self._pending = ""
        self._live: Live | None = None
        self._drawn = 0.0

    def write(self, text: str) -> None:
        """Add text to the answer."""
        done, self._pending = finished(self._pending + text)
        if done:
            self._erase()
            self._console.print(rendered(done))
        if self._pending.strip():
            self._draw()

    def end(self) -> None:
        """Print the unfinished rest. The next text begins a new answer."""
        self._erase()
        if self._pending.strip():
            self._console.print(rendered(self._pending))
        self._pending = ""

    def _draw(self) -> None:
        now = time.monotonic()
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
        elif now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        self._live.update(rendered(self._pending), refresh=True)

    def _erase(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def rendered(text: str) -> Markdown:
    """Return the Markdown of a text. HTML in it is shown as text, and a link with its address."""
    markdown = Markdown(text, hyperlinks=False)
    # Rich's own parser drops HTML without a trace.
    markdown.parsed = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).parse(text)
    return markdown


def finished(text: str) -> tuple[str, str]:
    """Return the finished blocks at the start of a text, and the rest. A blank line ends a block, except in a fence."""
    fence, end, place = "", 0, 0
    for line in text.splitlines(keepends=True):
        place += len(line)
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
        elif found:
            fence = found[1]
        elif not line.strip() and line.endswith("\n"):
            end = place
    return text[:end], text[end:]
