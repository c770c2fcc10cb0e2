"""Counts in sentences: `1 key`, `2 keys`."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun; `plural` is the noun's, if it is not formed with an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
