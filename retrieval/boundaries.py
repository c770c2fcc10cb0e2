"""The lines of a text at which its sections begin: headings, underlined titles, and symbols of code."""

import re
from collections.abc import Iterator
from typing import Final

from retrieval.base import Kind

MAX_SYMBOL_CHARS: Final = 300
"""Characters of a line in which a symbol is looked for."""

HEADING: Final = re.compile(r"(#{1,6})[ \t]+(\S.*)")
FENCE: Final = re.compile(r" {0,3}(?:```|~~~)")
UNDERLINE: Final = re.compile(r"([=\-~^\"'*+#])\1{2,}\s*")
SYMBOL: Final = re.compile(
    r"\s*(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([a-z]+\))?|unsafe"
    r"|inline|virtual|override|extern|sealed|partial|data|open|suspend)\s+){0,4}"
    r"(?:def|class|func|fn|function|fun|interface|struct|enum|trait|impl|module|namespace|object|record|protocol"
    r"|message|service|type|CREATE\s+(?:TABLE|VIEW|INDEX|FUNCTION))\s+\S"
)
LEADING: Final = re.compile(r"\s*(?:@\w|#\[|//|/\*|\*|#(?!\s*(?:include|define)))")


class Boundary:
    """A line at which a section begins: its index, its depth (smaller is stronger) and its title."""

    __slots__ = ("depth", "line", "title")

    def __init__(self, line: int, depth: int, title: str) -> None:
        self.line = line
        self.depth = depth
        self.title = title


def boundaries_of(lines: list[str], kind: Kind) -> Iterator[Boundary]:
    """Return the boundaries in the lines of a text of this kind."""
    if kind == "code":
        return symbols(lines)
    return headings(lines) if kind == "markdown" else underlines(lines)


def headings(lines: list[str]) -> Iterator[Boundary]:
    """Yield the headings of Markdown, except what looks like one in a block of code."""
    fenced = False
    for index, line in enumerate(lines):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and (heading := HEADING.match(line)):
            yield Boundary(index, len(heading[1]), heading[2].strip(" #\t\r"))


def underlines(lines: list[str]) -> Iterator[Boundary]:
    """Yield the titles of reStructuredText and plain text, which have a line of punctuation below them."""
    depths: dict[str, int] = {}
    for index in range(1, len(lines)):
        mark, title = lines[index], lines[index - 1].strip()
        if title and title[0].isalnum() and UNDERLINE.fullmatch(mark) and len(mark.strip()) + 2 >= len(title):
            yield Boundary(index - 1, depths.setdefault(mark[0], len(depths)), title)


def symbols(lines: list[str]) -> Iterator[Boundary]:
    """Yield the classes, functions and other definitions of code, by their first lines."""
    floor = 0
    for index, line in enumerate(lines):
        # In C and its relatives, a function begins at the margin and has parentheses and a brace.
        is_function = line[:1].isalpha() and "(" in line and ";" not in line and line.rstrip().endswith("{")
        if not is_function and not SYMBOL.match(line[:MAX_SYMBOL_CHARS]):
            continue
        start = index
        # Decorators and comments above a symbol belong to it.
        while start > floor and LEADING.match(lines[start - 1]):
            start -= 1
        floor = index + 1
        yield Boundary(start, len(line) - len(line.lstrip()), line.strip().rstrip("{:").rstrip())
