"""The bounds of a command, each with a name and a unit."""

from typing import Final

MOST_COMMAND_CHARS: Final = 16_384
"""Of a command that is given as one text."""

MOST_ARGUMENTS: Final = 512
"""The program's name included."""

MOST_ARGUMENT_BYTES: Final = 65_536
"""Of one argument, in UTF-8. Linux itself takes 128 KiB."""

MOST_WHITELIST_CHARS: Final = 65_536
"""Of the setting that extends the whitelist."""

SHOWN_CHARS: Final = 80
"""How much of a word a message repeats."""
