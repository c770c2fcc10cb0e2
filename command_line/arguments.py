"""Types of command line arguments, with their bounds."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Final

MAX_PORT: Final = 65_535


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a type for `add_argument`: a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        # The length first: `int` takes seconds for a text of millions of digits.
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise ArgumentTypeError(f"{text[:20]!r} is not a number from {least} to {most}")
        return int(text)

    return parse
