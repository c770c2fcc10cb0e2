"""Limits of a command."""

from typing import Final

MAX_COMMAND_CHARS: Final = 16_384
"""Characters of a command that is given as one text."""

MAX_ARGUMENTS: Final = 512
"""Words of a command, with the program's name."""

# Linux accepts 128 KiB (MAX_ARG_STRLEN).
MAX_ARGUMENT_BYTES: Final = 65_536
"""Bytes of one argument in UTF-8."""

MAX_WHITELIST_CHARS: Final = 65_536
"""Characters of the setting that extends the whitelist."""

SHOWN_CHARS: Final = 80
"""Characters of a word that a message repeats."""

MAX_SHELL_PROGRAMS: Final = 256
"""Programs of one line of a shell that the policy's rules are asked about."""
