"""Durations as people write them: 30d, 12h, 2w."""

import re
from datetime import timedelta
from typing import Final

UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
WRITTEN: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")


def parse_duration(text: str) -> timedelta:
    """Parse a duration. Raises `ValueError` that describes the valid form."""
    found = WRITTEN.fullmatch(text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is not an age: give a number and h, d or w, such as 12h, 30d or 2w")
    return int(found[1]) * UNITS[found[2]]
