"""A text that arrives in pieces, and leaves in sentences."""

from collections.abc import Iterator
from typing import Final

from speech.audio.text_chunks import SENTENCE_END, split_sentences

MAX_SENTENCE_CHARACTERS: Final = 300
"""A longer sentence is spoken in parts, so that its audio begins soon."""


class SentenceBuffer:
    """The unfinished end of a text."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, piece: str) -> Iterator[str]:
        """Add a piece, and yield the sentences that it completes."""
        self._text += piece
        ends = [found.end() for found in SENTENCE_END.finditer(self._text)]
        # The rest of a long text without an end is cut at words, and its last part may still grow.
        if not ends and len(self._text) > MAX_SENTENCE_CHARACTERS:
            space = self._text.rfind(" ", 0, MAX_SENTENCE_CHARACTERS)
            ends = [space if space > 0 else MAX_SENTENCE_CHARACTERS]
        if ends:
            whole, self._text = self._text[: ends[-1]], self._text[ends[-1] :]
            yield from split_sentences(whole, MAX_SENTENCE_CHARACTERS)
            yield from self.add("")

    def end(self) -> Iterator[str]:
        """Yield the rest."""
        rest, self._text = self._text, ""
        yield from split_sentences(rest, MAX_SENTENCE_CHARACTERS)
