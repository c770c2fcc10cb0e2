"""The limits of the git tools."""

import msgspec

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one call."""

    max_seconds: float = 10.0
    """Seconds of one call, and of git's processor time."""

    max_memory_bytes: int = 1024 * MIB
    """Bytes of git's memory, mapped files included."""

    max_output_bytes: int = 4 * MIB
    """Bytes of git's output; a git that writes more is ended."""

    max_error_bytes: int = 16 * KIB
    """Bytes of git's error messages that are read."""

    max_text_bytes: int = 512 * KIB
    """Bytes of the text of a diff."""

    max_files: int = 2_000
    """Files of a status or a diff."""

    max_parents: int = 100
    """Parents of a commit that are returned."""

    max_body_chars: int = 16_000
    """Characters of the body of a commit message."""

    max_line_chars: int = 1_000
    """Characters of a name, an address or a subject."""

    # git reads a large index with up to 20 threads.
    max_tasks: int = 64
    """Threads of git."""

    max_open_files: int = 256
    """Files that git has open at the same time."""
