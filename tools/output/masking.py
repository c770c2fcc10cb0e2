"""Masking of secrets in everything that is shown, stored or logged. A secret is known by its value or by its shape.

The shapes are those that vendors document for their keys, and these:

- JSON Web Tokens (RFC 7519)
- private keys (RFC 7468)
- credentials in headers (RFC 9110, section 11.6.2)
- passwords in URLs (RFC 3986, section 3.2.1)

A mask keeps honest mistakes from spreading. It does not stop a program that encodes a secret on purpose.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from tools.base import ToolError

MASK: Final = "[secret]"
MIN_VALUE_CHARS: Final = 16
"""Characters of the shortest value that is masked. Shorter ones are too often words, such as `lm-studio`."""

# What people write where a local server wants a key and checks none.
PLACEHOLDER: Final = re.compile(r"(?i:no[t-]|none|need|requir|placeholder|dummy|fake|example|your|change|x{4})")

MIN_KEY_RUN: Final = 16
"""Letters and digits in a row in a key that begins with `sk-`. Names in style sheets have shorter words."""

# Most texts in results are shorter, and need no search.
MIN_SHAPE_CHARS: Final = len("a://:b@")
"""Characters of the shortest text that has any of the shapes below."""

MAX_MASKS: Final = 10_000
"""Secrets that are replaced one by one in one value or stream. What follows the last is masked as a whole."""

MAX_KEY_CHARS: Final = 16_384
"""Characters of the longest private key that a stream holds back."""

MAX_HELD_CHARS: Final = 4_096
"""Characters of a word, or of the line around it, that a stream holds back until it ends."""

TOKENS: Final = (
    r"(?P<key>\bsk-[A-Za-z0-9_-]{20,})",
    r"\bosk_[A-Za-z0-9]{49}",
    r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,})",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\b(?:hf|npm)_[A-Za-z0-9]{30,}",
    r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
)
"""Shapes of random tokens."""

BEGIN_KEY: Final = r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
END_KEY: Final = r"-----END [A-Z ]*PRIVATE KEY-----"
# A line is base64 or a header (RFC 7468, section 3; RFC 1421, section 4.6), in JSON with an escape as its end. Within
# a line only long pieces count, because words look like base64.
_LINE_END: Final = r"[ \t]*(?:\r?\n|\\r\\n|\\n)[ \t]*"
_HEADER: Final = r"(?:Proc-Type|DEK-Info|Comment): [\w ,.-]*"
_BASE64: Final = "[A-Za-z0-9+/=]"
_KEY: Final = rf"{BEGIN_KEY}(?:{_LINE_END}(?:{_HEADER}|{_BASE64}*)|[ \t]+{_BASE64}{{40,}})*\s*{END_KEY}"
_OPEN_KEY: Final = rf"{BEGIN_KEY}(?:{_LINE_END}(?:{_HEADER}|{_BASE64}{{16,}})|[ \t]+{_BASE64}{{40,}})*"
TEXTS: Final = (
    _KEY,
    _OPEN_KEY,
    r"(?i:authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)\s+)(?P<credentials>[A-Za-z0-9._~+/=-]{8,})",
    r"[a-z][a-z0-9+.-]*://[^\s/:@]*:(?P<password>[^\s/@]+)@",
)
"""Shapes that any text can be given. A named group is the secret part."""

KEY_RUN: Final = re.compile(rf"[A-Za-z0-9]{{{MIN_KEY_RUN},}}")
KEY_BEGINS: Final = re.compile(BEGIN_KEY)
KEY_ENDS: Final = re.compile(END_KEY)
# A whole line that no private key has.
OTHER_LINE: Final = re.compile(
    rf"^(?![ \t]*(?:{_HEADER}|(?:[ \t]*{_BASE64}{{40,}})+|{_BASE64}*)[ \t\r]*\n).*\n", re.MULTILINE
)
LEADS: Final = re.compile(r"-----|(?i:authorization)")
IN_A_WORD: Final = re.compile(r"[\w-]")


class Allowance:
    """Counts the secrets that may still be replaced one by one, and the names that may still be found to be no keys."""

    def __init__(self) -> None:
        self.left = self.names = MAX_MASKS


class Masker:
    """Replaces secrets by `[secret]`: the given values, and text with a secret's shape."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = {value for value in values if is_secret(value)}
        # The longest first: a value may contain another one, and the first alternative that matches wins.
        spelled = sorted({*known, *(quote(value, safe="") for value in known)}, key=len, reverse=True)
        # RE2 takes linear time on any input; a backtracking engine could be stalled by a hostile output.
        tokens = (*map(re2.escape, spelled), *TOKENS)
        self._tokens = re2.compile("|".join(tokens))
        self._pattern = re2.compile("|".join((*tokens, *TEXTS)))
        self._secrets = re2.compile("|".join((*tokens, _KEY)))
        groups = self._pattern.groupindex
        self._key = groups["key"]
        self._parts = (groups["credentials"], groups["password"])

    def text(self, text: str, allowance: Allowance | None = None) -> str:
        """Return the text with its secrets masked. Lone surrogates and NUL become U+FFFD."""
        clean = storable(text)
        if len(clean) < MIN_SHAPE_CHARS:
            return clean
        # Bytes: with text, each match would cost a conversion of its position.
        data = clean.encode()
        if not self._pattern.search(data):
            return clean
        allowance = allowance or Allowance()
        pieces, position = [], 0
        for match in self._pattern.finditer(data):
            if match.start(self._key) >= 0 and allowance.names and not _is_key(match.group(0)):
                allowance.names -= 1
                continue
            if not allowance.left:
                pieces += [data[position : match.start()], MASK.encode()]
                break
            allowance.left -= 1
            part = next((part for part in self._parts if match.start(part) >= 0), 0)
            pieces += [data[position : match.start(part)], MASK.encode()]
            position = match.end(part)
        else:
            pieces.append(data[position:])
        return b"".join(pieces).decode()

    def data(self, value: Any) -> Any:
        """Return a JSON value with every text in it masked, including the names of fields."""
        allowance = Allowance()
        return mapped(value, lambda text: self.text(text, allowance))

    def has_token(self, value: Any) -> bool:
        """Return whether a JSON value has a known secret or a token: what an approval must not show."""
        if isinstance(value, dict):
            return any(self.has_token(name) or self.has_token(item) for name, item in value.items())
        if isinstance(value, list | tuple):
            return any(map(self.has_token, value))
        if not isinstance(value, str):
            return False
        found = self._tokens.finditer(storable(value).encode())
        return any(
            match.start(self._key) < 0 or count >= MAX_MASKS or _is_key(match.group(0))
            for count, match in enumerate(found)
        )

    def secrets(self, text: str) -> set[bytes]:
        """Return the known secrets, the tokens and the private keys in a text."""
        found = self._secrets.finditer(storable(text).encode())
        return {match.group(0) for match in found if match.start(self._key) < 0 or _is_key(match.group(0))}


def refuse_mask(path: str, before: bytes, after: bytes) -> None:
    """Refuse a file's new content if it has more masks than the old one. Raises `ToolError` (`invalid_params`)."""
    # A model that writes back a masked result would replace the secret by its mask.
    if after.count(MASK.encode()) > before.count(MASK.encode()):
        error = f"{path} would get the text {MASK}, which stands for a secret that was not shown. Leave that part out."
        raise ToolError(error, code="invalid_params")


def is_secret(value: str) -> bool:
    """Return whether a configured secret is long and random enough to be masked wherever it occurs."""
    is_placeholder = not any(map(str.isdigit, value)) and PLACEHOLDER.search(value)
    return len(value) >= MIN_VALUE_CHARS and not is_placeholder


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with every text in it changed, including the names of fields."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): mapped(item, change) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [mapped(item, change) for item in value]
    return value


def _is_key(found: bytes) -> bool:
    """Return whether what begins with `sk-` is a key, and not a name."""
    runs = KEY_RUN.findall(found.decode())
    return any(any(map(str.isdigit, run)) and any(map(str.isalpha, run)) for run in runs)


class MaskedStream:
    """Masks text that comes in pieces. The word at a piece's end and a private key are held back until complete."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._allowance = Allowance()
        self._held = ""
        self._in_key = False

    def feed(self, piece: str) -> str:
        """Take a piece, and return what can be shown now."""
        text = self._held + piece
        if self._in_key:
            after = KEY_ENDS.search(text) or OTHER_LINE.search(text)
            if after is None:
                self._held = text[text.rfind("\n") + 1 :][-MAX_HELD_CHARS:]
                return ""
            self._in_key = False
            text = text[after.end() if after.re is KEY_ENDS else after.start() :]
        cut = _first_unclear(text)
        if len(text) - cut > MAX_KEY_CHARS:
            # Only a private key waits that long. The rest of it is dropped.
            self._in_key = True
            self._held = ""
            return self._masker.text(text[:cut], self._allowance) + MASK
        self._held = text[cut:]
        return self._masker.text(text[:cut], self._allowance)

    def end(self) -> str:
        """Return the text that was held back."""
        held, self._held = self._held, ""
        return "" if self._in_key else self._masker.text(held, self._allowance)


def _first_unclear(text: str) -> int:
    """Return the position from which the text may still become a secret.

    That is a private key without an end, a line that leads to a secret, or the last word.
    """
    since = 0
    # Before the last one no key can be open, because a line that begins a key is in none.
    begins = KEY_BEGINS.match(text, max(0, text.rfind("-----BEGIN ")))
    if begins is not None:
        ends = KEY_ENDS.search(text, begins.end())
        if ends is None:
            lines = text.find("\n", begins.end()) + 1
            if not (lines and OTHER_LINE.search(text, lines)):
                return begins.start()
        else:
            since = ends.end()
    start = max(since, len(text) - MAX_HELD_CHARS)
    line = max(start, text.rfind("\n", start) + 1)
    # After "Authorization:" the credentials are a later word of the line, so the whole line waits.
    if LEADS.search(text, line):
        return line
    if len(text) == start or text[-1].isspace():
        return len(text)
    word = text[start:].rsplit(maxsplit=1)[-1]
    return len(text) - len(word) if IN_A_WORD.search(word) else len(text)


def storable(text: str) -> str:
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
