"""The bounds of the git tools, each with a name, a unit and a default."""

import msgspec

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one call may cost and give back. Bytes, seconds, characters and counts, as the names say."""

    max_seconds: float = 10.0
    """The most time that one call takes; git gets no more of the processor, either."""

    max_memory_bytes: int = 1024 * MIB
    """The most memory that git gets, mapped files included."""

    max_output_bytes: int = 4 * MIB
    """The most that is taken of git's output; what comes after it ends git."""

    max_error_bytes: int = 16 * KIB
    """The most that is taken of git's complaints."""

    max_text_bytes: int = 512 * KIB
    """The most of a diff's text."""

    max_files: int = 2_000
    """The most files of a status or a diff."""

    max_parents: int = 100
    """The most parents that are told of one commit."""

    max_body_chars: int = 16_000
    """The most of a commit message's body."""

    max_line_chars: int = 1_000
    """The most of a name, an address or a subject."""

    max_tasks: int = 64
    """The most threads: git reads a large index with up to twenty."""

    max_open_files: int = 256
    """The most files that git has open."""
