"""The bounds of a patch, each with a name, a unit and a default."""

import msgspec

from tools.base import ToolError

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one patch may cost. Bytes and counts, as the names say."""

    max_patch_bytes: int = 4 * MIB
    """The most bytes of patch text."""

    max_patch_lines: int = 100_000
    """The most lines of patch text."""

    max_files: int = 200
    """The most file sections in one patch."""

    max_hunks: int = 5_000
    """The most hunks in one patch."""

    max_content_bytes: int = 32 * MIB
    """The most bytes of files, those read and those that come of them, in one patch."""

    max_searched_bytes: int = 128 * MIB
    """The most bytes of files that are looked through for hunks whose line numbers are wrong or missing.

    Each such hunk costs its file's size once, so that the whole matching is linear in this bound.
    """


DEFAULT_LIMITS = Limits()


class Allowance:
    """What is left of a bound."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._left = most
        self._what = what

    def spend(self, amount: int = 1) -> None:
        """Raises `ToolError` (`too_large`) once more than the bound is spent."""
        self._left -= amount
        if self._left < 0:
            raise ToolError(
                f"The patch has too much to do: at most {self._most} {self._what}. Make several smaller patches of it.",
                code="too_large",
            )
