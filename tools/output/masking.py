"""Secrets, known by their value or by their shape, kept out of what is shown, stored and logged.

The shapes are those that vendors document for their keys, JSON Web Tokens (RFC 7519), private keys (RFC 7468),
credentials in headers (RFC 9110, section 11.6.2) and passwords in URLs (RFC 3986, section 3.2.1). A mask keeps honest
mistakes from spreading; a program that wants to give a secret away can spell it otherwise.
"""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

MASK: Final = "[secret]"
SHORTEST: Final = 8
"""Characters: a shorter value is more often a common word than a secret."""

SHORTEST_SHAPE: Final = len("a://:b@")
"""Characters of the shortest text that has any of the shapes below; most texts of results are shorter."""

LONGEST_WORD: Final = 4_096
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
"""Shapes of which a part alone is secret."""

KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
KEY_ENDS: Final = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
LEADS: Final = re.compile(r"-----|(?i:authorization)")
IN_A_WORD: Final = re.compile(r"[\w-]")


class Masker:
    """Replaces secrets by `[secret]`: the given values, and whatever has a secret's shape."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = {value for value in values if len(value) >= SHORTEST}
        spelled = sorted({*known, *(quote(value, safe="") for value in known)}, key=len, reverse=True)
        self._pattern = re2.compile("|".join((*map(re2.escape, spelled), *SHAPES, *SURROUNDED)))
        self._parts = tuple(self._pattern.groupindex.values())

    def text(self, text: str) -> str:
        """The text without its secrets. Halves of surrogate pairs and NUL, which no database takes, as U+FFFD."""
        clean = text if _is_storable(text) else _storable(text)
        if len(clean) < SHORTEST_SHAPE or not self._pattern.search(clean):
            return clean
        masked: str = self._pattern.sub(self._masked, clean)
        return masked

    def _masked(self, match: Any) -> str:
        """The match with its secret part replaced: the part that a shape names, or all of it."""
        whole: str = match.group(0)
        start = match.start()
        for part in self._parts:
            if match.group(part) is not None:
                return whole[: match.start(part) - start] + MASK + whole[match.end(part) - start :]
        return MASK

    def data(self, value: Any) -> Any:
        """The same of every text in a JSON value, names of fields included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.data(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value


class MaskedStream:
    """Masks a text that comes in pieces: the word at a piece's end, and a private key, wait until they are whole."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        self._in_key = False

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        text = self._held + piece
        begins = 0 if self._in_key else _open_key(text)
        if self._in_key and (ends := KEY_ENDS.search(text)):
            self._in_key = False
            text = text[ends.end() :]
            begins = _open_key(text)
        if begins is not None:
            return self._hide_key(text, begins)
        cut = _last_unclear(text)
        self._held = text[cut:]
        return self._masker.text(text[:cut])

    def end(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return "" if self._in_key else self._masker.text(held)

    def _hide_key(self, text: str, begins: int) -> str:
        """Goes on without a private key that has not ended; of what is passed over only the end is looked at again."""
        shown = "" if self._in_key else self._masker.text(text[:begins]) + MASK
        self._in_key = True
        self._held = text[begins:][-LONGEST_WORD:]
        return shown


def _open_key(text: str) -> int | None:
    """Where a private key begins that does not end in the text."""
    for begins in KEY_BEGINS.finditer(text):
        if not KEY_ENDS.search(text, begins.end()):
            return begins.start()
    return None


def _last_unclear(text: str) -> int:
    """Where the end of the text begins that may turn out to be a secret: a word, or a line that leads to one."""
    start = max(0, len(text) - LONGEST_WORD)
    line = max(start, text.rfind("\n", start) + 1)
    if LEADS.search(text, line):
        return line
    if not text or text[-1].isspace():
        return len(text)
    word = text[start:].rsplit(maxsplit=1)[-1]
    return len(text) - len(word) if IN_A_WORD.search(word) else len(text)


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
