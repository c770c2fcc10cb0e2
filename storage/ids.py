"""Identifiers in order of creation, so that new rows are adjacent in every index (RFC 9562, UUIDv7)."""

import secrets
import time
from typing import Final
from uuid import UUID

VERSION: Final = 7 << 76
VARIANT: Final = 2 << 62
RANDOM: Final = (1 << 76) - 1 - (3 << 62)


def new_id() -> UUID:
    """Return 48 bits of milliseconds since 1970, followed by 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | VERSION | VARIANT | (secrets.randbits(76) & RANDOM))
