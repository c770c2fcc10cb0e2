"""The limits of commands, and the programs that may run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tools.commands import WHITELIST, Profile, Program, table_of
from tools.workspace.confinement.names import SECRETS

MAX_AT_ONCE: Final = 4
"""Commands of one workspace that run at the same time; further ones wait."""

OPEN_FILES: Final = 256
DEVELOP_FACTOR: Final = 4
RESERVED_FACTOR: Final = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one command: seconds of wall time, bytes of output and memory, and tasks (processes and threads).

    - `writable`: whether commands may write in the workspace
    - `profile`: how much of the machine commands may use
    - `quarantine`: a folder for what commands may not leave behind; by default, one beside the workspace
    - `whitelist`: the programs that may run, besides those of the profile
    - `secret_globs`: the names of the workspace's secrets, which git leaves out
    - `max_at_once`: the commands that run at the same time, in all workspaces of a process

    Raises `ValueError` for a limit that no command can meet.
    """

    max_seconds: float = 30.0
    max_output_bytes: int = 64 * 1024 * 1024
    max_memory_bytes: int = 1024 * 1024 * 1024
    max_tasks: int = 64
    writable: bool = False
    profile: Profile = "read"
    quarantine: Path | None = None
    whitelist: Mapping[str, Program] = WHITELIST
    secret_globs: tuple[str, ...] = SECRETS
    max_at_once: int = MAX_AT_ONCE

    def __post_init__(self) -> None:
        if self.max_seconds <= 0:
            raise ValueError("max_seconds must be more than 0.")
        if min(self.max_output_bytes, self.max_memory_bytes, self.max_tasks, self.max_at_once) < 1:
            raise ValueError("Each number among a terminal's limits must be at least 1.")

    @property
    def table(self) -> Mapping[str, Program]:
        """The programs that may run by name."""
        return table_of(self.profile, self.whitelist)

    @property
    def tasks(self) -> int:
        """The tasks of one command. A build starts more of them than a program that reads."""
        return self.max_tasks if self.profile == "read" else self.max_tasks * DEVELOP_FACTOR

    @property
    def addresses(self) -> int:
        """The addresses that a process may reserve, as a multiple of its memory."""
        # Engines of JavaScript, and Go, reserve far more than they use.
        return 1 if self.profile == "read" else RESERVED_FACTOR

    @property
    def open_files(self) -> int:
        """The open files of each process."""
        return OPEN_FILES if self.profile == "read" else OPEN_FILES * DEVELOP_FACTOR


DEFAULT_LIMITS = Limits()
