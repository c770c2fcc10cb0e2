"""Masking of secrets in everything that is shown, stored or logged. A secret is known by its value or by its shape.

The shapes are those that vendors document for their keys, and these:

- JSON Web Tokens (RFC 7519)
- private keys (RFC 7468)
- credentials in headers (RFC 9110, section 11.6.2)
- passwords in URLs (RFC 3986, section 3.2.1)

A mask keeps honest mistakes from spreading. It does not stop a program that encodes a secret on purpose.
"""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

MASK: Final = "[secret]"
# A shorter value is more often a common word than a secret.
MIN_VALUE_CHARS: Final = 8
"""Characters of the shortest value that is masked."""

# Most texts in results are shorter, and need no search.
MIN_SHAPE_CHARS: Final = len("a://:b@")
"""Characters of the shortest text that has any of the shapes below."""

MAX_HELD_CHARS: Final = 4_096
"""Characters of a word, or of the line around it, that a stream holds back until it ends."""

SHAPES: Final = (
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bosk_[A-Za-z0-9]{49}",
    r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,})",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\b(?:hf|npm)_[A-Za-z0-9]{30,}",
    r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z))",
)
SURROUNDED: Final = (
    r"(?i:authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)\s+)(?P<credentials>[A-Za-z0-9._~+/=-]{8,})",
    r"[a-z][a-z0-9+.-]*://[^\s/:@]*:(?P<password>[^\s/@]+)@",
)
"""Shapes with a secret part: only the named group is masked."""

KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
KEY_ENDS: Final = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
LEADS: Final = re.compile(r"-----|(?i:authorization)")
IN_A_WORD: Final = re.compile(r"[\w-]")


class Masker:
    """Replaces secrets by `[secret]`: the given values, and text with a secret's shape."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = {value for value in values if len(value) >= MIN_VALUE_CHARS}
        # The longest first: a value may contain another one, and the first alternative that matches wins.
        spelled = sorted({*known, *(quote(value, safe="") for value in known)}, key=len, reverse=True)
        # RE2 takes linear time on any input; a backtracking engine could be stalled by a hostile output.
        self._pattern = re2.compile("|".join((*map(re2.escape, spelled), *SHAPES, *SURROUNDED)))
        self._parts = tuple(self._pattern.groupindex.values())

    def text(self, text: str) -> str:
        """Return the text with its secrets masked. Lone surrogates and NUL become U+FFFD."""
        clean = _storable(text)
        if len(clean) < MIN_SHAPE_CHARS or not self._pattern.search(clean):
            return clean
        masked: str = self._pattern.sub(self._masked, clean)
        return masked

    def _masked(self, match: Any) -> str:
        """Return the match with its secret part replaced: the group that a shape names, or the whole match."""
        whole: str = match.group(0)
        start = match.start()
        for part in self._parts:
            if match.group(part) is not None:
                return whole[: match.start(part) - start] + MASK + whole[match.end(part) - start :]
        return MASK

    def data(self, value: Any) -> Any:
        """Return a JSON value with every text in it masked, including the names of fields."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.data(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value


class MaskedStream:
    """Masks text that comes in pieces. The word at a piece's end and a private key are held back until complete."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        self._in_key = False

    def feed(self, piece: str) -> str:
        """Take a piece, and return what can be shown now."""
        text = self._held + piece
        begins = 0 if self._in_key else _open_key(text)
        if self._in_key and (ends := KEY_ENDS.search(text)):
            self._in_key = False
            text = text[ends.end() :]
            begins = _open_key(text)
        if begins is not None:
            shown = "" if self._in_key else self._masker.text(text[:begins]) + MASK
            self._in_key = True
            # The line that ends the key may be cut between two pieces. The rest of the key is not needed again.
            self._held = text[begins:][-MAX_HELD_CHARS:]
            return shown
        cut = _last_unclear(text)
        self._held = text[cut:]
        return self._masker.text(text[:cut])

    def end(self) -> str:
        """Return the text that was held back."""
        held, self._held = self._held, ""
        return "" if self._in_key else self._masker.text(held)


def _open_key(text: str) -> int | None:
    """Return the position of a private key that does not end in the text; None if there is none."""
    for begins in KEY_BEGINS.finditer(text):
        if not KEY_ENDS.search(text, begins.end()):
            return begins.start()
    return None


def _last_unclear(text: str) -> int:
    """Return the position from which the text may still become a secret: the last word, or a line that leads to one."""
    start = max(0, len(text) - MAX_HELD_CHARS)
    line = max(start, text.rfind("\n", start) + 1)
    # After "Authorization:" the credentials are a later word of the line, so the whole line waits.
    if LEADS.search(text, line):
        return line
    if not text or text[-1].isspace():
        return len(text)
    word = text[start:].rsplit(maxsplit=1)[-1]
    return len(text) - len(word) if IN_A_WORD.search(word) else len(text)


def _storable(text: str) -> str:
    """Return the text as a database can store it."""
    # PostgreSQL takes no NUL in text, and UTF-8 has no lone surrogates. Nearly all texts have neither.
    if "\0" not in text:
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
