"""The bounds of a workspace, each with a name, a unit and a default."""

import msgspec

KIB = 1024
MIB = 1024 * KIB
MAX_CHARACTER_BYTES = 4
"""Of UTF-8."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one call may cost. Bytes, seconds and counts, as the names say.

    Raises `ValueError` where a page or a line could not hold one character.
    """

    max_read_bytes: int = 4 * MIB
    """The most bytes that one call gives back; of a longer file a page at a time (`FS_MAX_READ_BYTES`)."""

    max_write_bytes: int = 4 * MIB
    """The most bytes that one file is given (`FS_MAX_WRITE_BYTES`)."""

    max_line_bytes: int = 64 * KIB
    """A longer line counts as several, for `fs.read` and `fs.search` alike."""

    max_hash_bytes: int = 256 * MIB
    """Of a larger file no SHA-256 is told."""

    max_scan_bytes: int = 1024 * MIB
    """How far into a file a page may begin, and how much a search reads in all."""

    max_path_depth: int = 64
    """The most names in one path, and so the deepest folder that is entered."""

    max_entries: int = 2_000
    """The most entries that one listing gives back."""

    max_walked: int = 50_000
    """The most entries that a listing or a search looks at."""

    max_matches: int = 200
    """The most matches that one search gives back."""

    max_match_chars: int = 400
    """A longer matching line is cut around its match."""

    max_pattern_size: int = 8_000
    """The most instructions that a regular expression may compile to: time is this times the bytes searched."""

    max_seconds: float = 10.0
    """The most time that one reading, listing or searching call takes."""

    def __post_init__(self) -> None:
        if min(self.max_read_bytes, self.max_line_bytes) < MAX_CHARACTER_BYTES:
            raise ValueError(f"max_read_bytes and max_line_bytes are at least {MAX_CHARACTER_BYTES}.")
