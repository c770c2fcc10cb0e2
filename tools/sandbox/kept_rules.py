"""Landlock rulesets of workspaces with thousands of readable parts, kept between commands.

Adding a rule for each part takes longer than most commands. A kept ruleset has these rules, and those of all else that
its commands may reach. A command has a ruleset of its own as well, which names the whole workspace instead of its
parts. The kernel allows only what both allow.

The kernel keeps each file that a rule names, even if it is removed, so a ruleset that is not used is released.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from kernel import landlock
from tools.sandbox.policy import Part, Policy
from tools.sandbox.program import allow_common, allow_parts, read_rights

MANY_PARTS: Final = 1_000
"""Parts from which a ruleset is kept."""

KEPT_SECONDS: Final = 60.0
"""Seconds that an unused ruleset is kept."""

MAX_KEPT: Final = 4
MAX_USES: Final = 1_000
"""Commands with one ruleset: each adds its temporary folder to it."""


# Only the temporary folder of a command may differ from those of other commands with its ruleset.
_Places = tuple[bool, tuple[str, ...], frozenset[tuple[int, int]]]


def _places(policy: Policy) -> _Places:
    handles = (*policy.listable_handles, *policy.readable_handles, *policy.writable_handles)
    files = frozenset((status.st_dev, status.st_ino) for status in map(os.fstat, handles))
    return policy.runs_files, tuple(policy.places), files


class _Kept:
    """A ruleset for `parts`, the same list as long as nothing has changed, and for the other places of its commands."""

    def __init__(self, parts: Sequence[Part], places: _Places, policy: Policy) -> None:
        self.parts = parts
        self.places = places
        self.uses = 0
        self.rules = landlock.everything(policy.landlock_abi)
        allow_parts(self.rules, parts, read_rights(policy))

    def __del__(self) -> None:
        self.rules.close()


class KeptRules:
    """The kept rulesets of a sandbox. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def applied(self, policy: Policy) -> AsyncIterator[Policy]:
        """Return the policy with a ruleset instead of many parts. Its `rules_handle` is open meanwhile."""
        parts = policy.readable_parts
        if len(parts) < MANY_PARTS or policy.writable_parts:
            yield policy
            return
        kept = await asyncio.to_thread(self._prepared, parts, policy)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self.release)
        folders = (*policy.readable_handles, *{part.handle for part in parts})
        handle = kept.rules.fileno()
        yield policy._replace(readable_parts=(), readable_handles=list(folders), rules_handle=handle)

    def release(self) -> None:
        """Release all rulesets. A command that starts keeps its own until it has it."""
        with self._lock:
            self._kept.clear()

    def _prepared(self, parts: Sequence[Part], policy: Policy) -> _Kept:
        places = _places(policy)
        with self._lock:
            for kept in self._kept:
                if kept.parts is parts and kept.places == places and kept.uses < MAX_USES:
                    break
            else:
                kept = _Kept(parts, places, policy)
                self._kept = [kept, *self._kept[: MAX_KEPT - 1]]
            kept.uses += 1
            allow_common(kept.rules, policy)
            return kept
