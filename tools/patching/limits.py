"""The limits of a patch."""

import msgspec

from tools.base import ToolError

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one patch."""

    max_patch_bytes: int = 4 * MIB
    """Bytes of the patch's text."""

    max_patch_lines: int = 100_000
    """Lines of the patch's text."""

    max_files: int = 200
    """Sections, one for each file."""

    max_hunks: int = 5_000
    """Hunks of all sections."""

    max_content_bytes: int = 32 * MIB
    """Bytes of all files that are read and made."""

    # A hunk with a wrong line number costs its file's size once, so this bounds the time of all matching.
    max_searched_bytes: int = 128 * MIB
    """Bytes of files that are searched for hunks with wrong or missing line numbers."""


DEFAULT_LIMITS = Limits()


class Allowance:
    """The rest of a limit."""

    def __init__(self, maximum: int, what: str) -> None:
        self._maximum = maximum
        self._left = maximum
        self._what = what

    def spend(self, amount: int = 1) -> None:
        """Spend an amount. Raises `ToolError` (`too_large`) once the limit is exceeded."""
        self._left -= amount
        if self._left < 0:
            raise ToolError(
                f"The patch is too large: at most {self._maximum} {self._what}. Split it into smaller patches.",
                code="too_large",
            )
