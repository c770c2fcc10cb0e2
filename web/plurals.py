"""Counts in sentences: `1 key`, `2 keys`."""


def noun_for(count: int, noun: str, plural: str = "") -> str:
    """Return the form of a noun for a count; `plural` is its plural, if that is not formed with an s."""
    return noun if count == 1 else plural or f"{noun}s"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun_for(count, noun, plural)}"
