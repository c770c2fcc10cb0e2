"""What a sandbox says no with.

SandboxError
    SandboxUnavailableError   this machine cannot confine a command, or a confined one could not be supervised
    CommandRefusedError       this command is not run; the message says why
"""


class SandboxError(Exception):
    """No command was run to its end."""


class SandboxUnavailableError(SandboxError):
    """Commands cannot be confined here; the message says what is missing."""


class CommandRefusedError(SandboxError):
    """A command that is not run here; the message says what would be."""
