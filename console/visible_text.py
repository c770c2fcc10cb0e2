"""Text that a model or a caller wrote, made safe to look at on a terminal or a page.

What moves the cursor, turns the direction of reading, or is not to be seen at all is shown as an escape, such as
`\\x1b` or `\\u202e` (Unicode Technical Report 36, section 2.10, and Technical Standard 55 say what it is misused for).
"""

import unicodedata
from typing import Final

UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Categories of Unicode: controls, formats, private use, surrogates, and separators of lines and paragraphs."""

KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line breaks, tabs, and the joiners that Persian and emoji are written with."""


class _Escapes(dict[int, str]):
    """What each character is shown as; found out once each."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        hidden = unicodedata.category(character) in UNSEEN and character not in KEPT
        shown = self[code] = character.encode("unicode_escape").decode("ascii") if hidden else character
        return shown


_ESCAPES: Final = _Escapes()


def visible_text(text: str) -> str:
    """The text with nothing hidden in it; its lines end as they did, CRLF as LF."""
    if text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_ESCAPES)


def visible_text_line(text: str, most: int) -> str:
    """The beginning of the text as one line of at most `most` characters, with `…` where there is more."""
    line = " ".join(visible_text(text[: 4 * most]).split())
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1].rstrip() + "…"
