"""The lines of git's protocol. Source: gitprotocol-common(5), "pkt-line format"."""

from collections.abc import Iterator
from typing import Final

from tools.base import ToolError

FLUSH: Final = b"0000"
LENGTH_DIGITS: Final = 4
MAX_DATA: Final = 65_516


def pkt_line(text: str) -> bytes:
    """Return a line with its length."""
    data = text.encode()
    return b"%04x" % (len(data) + LENGTH_DIGITS) + data


def pkt_lines(data: bytes) -> Iterator[bytes | None]:
    """Yield the data of each line; None is a flush. Raises `ToolError` for data that is malformed."""
    position = 0
    while position < len(data):
        line, position = read_line(data, position)
        yield line


def read_line(data: bytes, position: int) -> tuple[bytes | None, int]:
    """Return the line at a position, and the position after it. Raises `ToolError`."""
    digits = data[position : position + LENGTH_DIGITS]
    try:
        length = int(digits, 16) if digits.isalnum() and len(digits) == LENGTH_DIGITS else -1
    except ValueError:
        length = -1
    end = position + length
    if length == 0:
        return None, position + LENGTH_DIGITS
    if length < LENGTH_DIGITS or end > len(data):
        raise malformed()
    return data[position + LENGTH_DIGITS : end], end


def malformed() -> ToolError:
    return ToolError("The host's answer is not one of git's protocol.", code="failed")
