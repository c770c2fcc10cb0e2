"""The bounds of a command, each with a name and a unit."""

from typing import Final

MAX_COMMAND_CHARS: Final = 16_384
"""Of a command that is given as one text."""

MAX_ARGUMENTS: Final = 512
"""The program's name included."""

MAX_ARGUMENT_BYTES: Final = 65_536
"""Of one argument, in UTF-8. Linux itself takes 128 KiB."""

MAX_WHITELIST_CHARS: Final = 65_536
"""Of the setting that extends the whitelist."""

SHOWN_CHARS: Final = 80
"""How much of a word a message repeats."""
