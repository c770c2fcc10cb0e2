"""The limits of a workspace."""

import msgspec

KIB = 1024
MIB = 1024 * KIB
MAX_CHARACTER_BYTES = 4
"""Bytes of the longest character in UTF-8 (RFC 3629)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one call. Raises `ValueError` if a page or a line could not hold one character."""

    max_read_bytes: int = 4 * MIB
    """Bytes that one call returns; a longer file is read in pages (`FS_MAX_READ_BYTES`)."""

    max_write_bytes: int = 4 * MIB
    """Bytes of a file that is written (`FS_MAX_WRITE_BYTES`)."""

    max_kept_bytes: int = 16 * MIB
    """Bytes of a file whose earlier content is kept when a tool changes it."""

    max_line_bytes: int = 64 * KIB
    """Bytes of a line; `fs.read` and `fs.search` count a longer one as several."""

    max_hash_bytes: int = 256 * MIB
    """Bytes of a file whose SHA-256 is computed."""

    max_scan_bytes: int = 1024 * MIB
    """Bytes before the first byte of a page, and bytes that one search reads."""

    max_path_depth: int = 64
    """Names in a path, and the depth to which a walk goes."""

    max_entries: int = 2_000
    """Entries that one listing returns."""

    max_walked: int = 300_000
    """Entries that one listing or search visits."""

    max_matches: int = 200
    """Matches that one search returns."""

    max_match_chars: int = 400
    """Characters of a matching line; a longer one is cut around its match."""

    # The time of a search is this number times the bytes that are searched.
    max_pattern_size: int = 8_000
    """Instructions of a compiled regular expression."""

    max_seconds: float = 10.0
    """Seconds of one call that reads, lists or searches."""

    def __post_init__(self) -> None:
        if min(self.max_read_bytes, self.max_line_bytes) < MAX_CHARACTER_BYTES:
            raise ValueError(f"max_read_bytes and max_line_bytes must be at least {MAX_CHARACTER_BYTES}.")
