"""Text of models and callers, made safe to show on a terminal or a page.

Characters that move the cursor, change the direction of reading or are invisible become escapes, such as `\\x1b` or
`\\u202e`. Unicode Technical Report 36, section 2.10, and Technical Standard 55 describe how they are misused.
"""

import unicodedata
from typing import Final

UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories that are escaped: controls, formats, private use, surrogates, line and paragraph separators."""

KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Exceptions: line breaks, tabs, and the joiners that Persian and emoji need."""


BLANK: Final = frozenset(
    map(
        chr,
        (
            0x034F,
            0x115F,
            0x1160,
            0x17B4,
            0x17B5,
            0x2800,
            0x3164,
            0xFFA0,
            *range(0xFE00, 0xFE0F),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
"""Letters and marks that are escaped because they have no shape: fillers, and selectors of variants of letters.

Unicode Standard Annex 44, Default_Ignorable_Code_Point. U+FE0F, which emoji need, stays.
"""


class _Escapes(dict[int, str]):
    """A translation table that is filled on demand."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        hidden = character in BLANK or (unicodedata.category(character) in UNSEEN and character not in KEPT)
        shown = self[code] = character.encode("unicode_escape").decode("ascii") if hidden else character
        return shown


_ESCAPES: Final = _Escapes()


def visible_text(text: str) -> str:
    """Return the text with hidden characters escaped, and CRLF as LF."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_ESCAPES)


def visible_text_line(text: str, most: int) -> str:
    """Return the beginning of the text as one line of at most `most` characters, with `…` if it is longer."""
    # The text can be megabytes long. Four times the length leaves enough when runs of spaces have become one.
    line = " ".join(visible_text(text[: 4 * most]).split())
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1].rstrip() + "…"
