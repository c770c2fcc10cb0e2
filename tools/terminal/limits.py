"""What commands may cost, and what may be run at all."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tools.commands import WHITELIST, Program
from tools.workspace.confinement.names import SECRETS

MAX_AT_ONCE: Final = 4
"""Commands of one workspace that run at a time; more wait."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What commands may cost: seconds of wall time, bytes of output and of memory, processes with their threads.

    `writable`: whether they may write the workspace. `whitelist`: what may be run at all. `secret_globs`: what git
    leaves out, which are the names of the workspace's secrets. `max_at_once`: how many of a workspace run together.

    Raises `ValueError` for a limit that no command can keep to.
    """

    max_seconds: float = 30.0
    max_output_bytes: int = 64 * 1024 * 1024
    max_memory_bytes: int = 1024 * 1024 * 1024
    max_tasks: int = 64
    writable: bool = False
    whitelist: Mapping[str, Program] = WHITELIST
    secret_globs: tuple[str, ...] = SECRETS
    max_at_once: int = MAX_AT_ONCE

    def __post_init__(self) -> None:
        if self.max_seconds <= 0:
            raise ValueError("max_seconds is more than 0.")
        if min(self.max_output_bytes, self.max_memory_bytes, self.max_tasks, self.max_at_once) < 1:
            raise ValueError("Each number among a terminal's limits is at least 1.")


DEFAULT_LIMITS = Limits()
