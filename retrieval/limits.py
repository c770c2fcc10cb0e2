"""The limits of an index. A workspace beyond them is indexed in part."""

from typing import Final

MIB: Final = 2**20

MAX_FILES: Final = 50_000
"""Files of one index."""

MAX_TEXT_BYTES: Final = 2 * MIB
"""Bytes of a text file; a longer one is not indexed."""

MAX_DOCUMENT_BYTES: Final = 16 * MIB
"""Bytes of a PDF or DOCX file."""

MAX_EXTRACTED_CHARS: Final = 4_000_000
"""Characters of the text of one document; the rest is left out."""

MAX_LINE_CHARS: Final = 64 * 1024
"""Characters of the longest line of a text. A file with a longer one is data, not text."""

MAX_PIECE_CHARS: Final = 900
"""Characters of a piece. Its vector is that of its first 128 tokens, half of a piece or more."""

MIN_PIECE_CHARS: Final = 250
"""Characters below which a piece is joined with the next one."""

MAX_PIECES_PER_FILE: Final = 4_096
MAX_PIECES: Final = 200_000
"""Pieces of one index."""

MAX_INDEX_BYTES: Final = 1024 * MIB
"""Bytes of one index file. No text is added to a larger one."""

MAX_QUERY_CHARS: Final = 1_000
MAX_QUERY_WORDS: Final = 32
MAX_RESULTS: Final = 50
MAX_CANDIDATES: Final = 100
"""Pieces that each ranking gives to the fusion."""
