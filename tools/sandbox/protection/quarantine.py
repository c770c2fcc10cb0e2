"""The folder outside of a workspace into which planted entries are moved, and the plans of commands that still run.

A plan is locked while its command runs, and the kernel releases the lock when the process ends. A plan without a lock
was left behind by a process that was killed.

Source: flock(2).
"""

import asyncio
import fcntl
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from tools.sandbox.protection.planted import OWNER_ONLY, Plan, clear, survey
from tools.sandbox.refusals import CommandRefusedError

PLAN: Final = ".plan"
LOCK: Final = "workspaces.lock"
"""The file that is locked while commands may write, so that no folder of workspaces is made meanwhile."""


class Watched(msgspec.Struct, kw_only=True):
    """A command that may write. `plan` is the path of its plan; `moved` are the entries that were cleared."""

    plan: str
    moved: list[str] = []
    is_over: bool = True


class Quarantine:
    """A quarantine in one of several folders: the first that is on the workspace's own file system."""

    def __init__(self, root: Path, candidates: Sequence[Path]) -> None:
        """Choose among the candidates. `LOCK` lies in the first of them, on any file system."""
        self.root = root
        self._candidates = candidates

    def folder(self) -> Path:
        """Return the folder, which is made if it is missing. Raises `CommandRefusedError` if there can be none."""
        device = self.root.stat().st_dev
        for candidate in self._candidates:
            with suppress(OSError):
                candidate.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
                if candidate.stat().st_dev == device and not candidate.resolve().is_relative_to(self.root):
                    return candidate
        raise CommandRefusedError(
            "TERMINAL_WRITABLE needs a folder on the workspace's file system for what commands may not leave behind: "
            f"none of {', '.join(map(str, self._candidates))} can be used. Move TOOL_OUTPUT_DIR, or unset it."
        )

    @asynccontextmanager
    async def watching(self, secret_globs: Sequence[str], places: Sequence[Path]) -> AsyncIterator[Watched]:
        """Record what a workspace has, and clear afterwards what a command planted. Raises `CommandRefusedError`."""
        with ExitStack() as locks:
            await asyncio.to_thread(self._hold_workspaces, locks)
            lock, plan = await asyncio.to_thread(self._record, secret_globs, list(map(str, places)))
            locks.callback(os.close, lock)
            watched = Watched(plan=plan)
            try:
                yield watched
            finally:
                watched.moved = await asyncio.to_thread(clear, plan, keep=not watched.is_over)

    def recover(self) -> list[str]:
        """Clear up after commands whose service was killed, and return the moved paths. This blocks."""
        moved: list[str] = []
        plans = (path for folder in self._candidates if folder.is_dir() for path in folder.glob(f"*{PLAN}"))
        for path in plans:
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                moved += clear(str(path))
        return moved

    def _hold_workspaces(self, locks: ExitStack) -> None:
        """Share `LOCK`. Where it cannot be made, no folder of workspaces can be made either."""
        with suppress(OSError):
            self._candidates[0].mkdir(OWNER_ONLY, parents=True, exist_ok=True)
            lock = locks.enter_context((self._candidates[0] / LOCK).open("ab"))
            fcntl.flock(lock, fcntl.LOCK_SH)

    def _record(self, secret_globs: Sequence[str], places: list[str]) -> tuple[int, str]:
        """Write the plan. Return the handle that locks it, and its path."""
        folder = self.folder().resolve()
        name = uuid.uuid4().hex
        before = {"/".join(names): detail for names, detail in survey(str(self.root), secret_globs, places)}
        plan = Plan(str(self.root), before, list(secret_globs), places, str(folder / name))
        draft, path = folder / f"{name}.draft", folder / f"{name}{PLAN}"
        lock = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with os.fdopen(os.dup(lock), "wb") as file:
            file.write(plan.encode())
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        return lock, str(path)
