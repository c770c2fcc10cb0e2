"""Access to the hosts of repositories, for the tools that reach them."""

from pathlib import Path
from typing import Any

import msgspec

from tools.forges.allowed import AllowedRemotes
from tools.forges.offered import Secrets
from tools.git.running import Runner

MIB = 1024 * 1024


class ForgeAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The git of a workspace, the hosts that it may reach, and the service's own folder beside all workspaces.

    `secrets` returns the secrets in a text.
    """

    runner: Runner
    allowed: AllowedRemotes
    secrets: Secrets
    private: Path
    max_clone_bytes: int = 256 * MIB

    def restricted(self, permits: Any, record: Any = None) -> "ForgeAccess":
        """Return the same for one call."""
        return msgspec.structs.replace(self, runner=self.runner.restricted(permits, record))
