"""Errors of the sandbox.

SandboxError

    SandboxUnavailableError   this machine cannot confine a command, or a command could not be supervised
    CommandRefusedError       the command does not run; the message gives the reason
"""


class SandboxError(Exception):
    """A command did not run to its end."""


class SandboxUnavailableError(SandboxError):
    """Commands cannot be confined here. The message names the missing feature."""


class CommandRefusedError(SandboxError):
    """The command does not run here. The message says what would."""
