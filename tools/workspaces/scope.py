"""The workspaces of this process: the root, and those of owners and sessions beneath it.

`WORKSPACE_SCOPE` chooses how they are divided. In `shared`, all callers work in the root. In `owner`, each owner has a
workspace, and the operator has the root. In `session`, each session has one too.
"""

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal
from uuid import UUID
from weakref import WeakValueDictionary

from access.caller import OPERATOR
from tools.base import ToolError
from tools.sandbox.protection.names import WORKSPACES
from tools.workspace import Workspace, WorkspaceUnavailableError
from tools.workspace.quota import Quota

Scope = Literal["shared", "owner", "session"]
ROOT: Final = ""
OWNER_ONLY: Final = 0o700
MAX_SLUG: Final = 48
HASH_DIGITS: Final = 32
NOT_IN_A_SLUG: Final = re.compile(r"[^a-z0-9]+")


def owner_folder(owner: str) -> str:
    """Return the name of an owner's folder. Different owners have different names, on any file system."""
    # The readable start is for people. The hash makes the name unique, because owners may differ in case only.
    slug = NOT_IN_A_SLUG.sub("-", owner.lower())[:MAX_SLUG].strip("-")
    return f"{slug}-{hashlib.sha256(owner.encode()).hexdigest()[:HASH_DIGITS]}"


def session_folder(owner: str, session_id: UUID) -> str:
    """Return the name of the folder of an owner's session: with the id of another's session, it is not that folder."""
    return f"session-{session_id}-{hashlib.sha256(owner.encode()).hexdigest()[:HASH_DIGITS]}"


class Workspaces:
    """The root workspace, and those beneath it, which are made when they are first used. Any thread may call it."""

    def __init__(
        self,
        root: Path,
        scope: Scope,
        open_: Callable[[Path], Workspace],
        lock: Path,
        quota: Callable[[Path], Quota] | None = None,
    ) -> None:
        """Open the root. `open_` opens a workspace. `lock` is the file that commands which may write hold locked.

        `quota` makes the quota of a folder. The root has one only if callers share it.
        Raises `OSError` and `WorkspaceUnavailableError`.
        """
        root.mkdir(parents=True, exist_ok=True)
        self.root = open_(root)
        self.scope = scope
        self._open = open_
        self._lock_path = lock
        self._quota = quota
        if quota and scope == "shared":
            self.root.quota = quota(self.root.base)
        self._opening = threading.Lock()
        # A workspace that a call uses is found here, so that all changes in it wait for the same lock.
        self._open_now: WeakValueDictionary[str, Workspace] = WeakValueDictionary()

    @property
    def folder(self) -> Path:
        """The folder that holds the workspaces beneath the root."""
        return self.root.base / WORKSPACES

    def name(self, owner: str, session_id: UUID | None = None) -> str:
        """Return the name of the caller's folder beneath `folder`, or `ROOT`."""
        if self.scope == "session" and session_id is not None:
            return session_folder(owner, session_id)
        return ROOT if self.scope == "shared" or owner == OPERATOR else owner_folder(owner)

    def path(self, owner: str, session_id: UUID | None = None) -> Path:
        """Return the path of a caller's workspace, whether or not it exists."""
        name = self.name(owner, session_id)
        return self.folder / name if name else self.root.base

    def at(self, owner: str, session_id: UUID | None = None) -> Workspace:
        """Return the workspace of a caller, which is made if it is missing. Raises `ToolError` (`failed`)."""
        return self.open(self.name(owner, session_id))

    def open(self, name: str) -> Workspace:
        """Return the workspace with a name that `name` returned. Raises `ToolError` (`conflict`, `failed`)."""
        if name == ROOT:
            return self.root
        with self._opening:
            known = self._open_now.get(name)
            if known is not None and _exists(known):
                return known
            try:
                self._make_folder()
                path = self.folder / name
                path.mkdir(OWNER_ONLY, exist_ok=True)
                if path.is_symlink():
                    raise NotADirectoryError(f"{name} is a link.")
                made = self._open(path)
                made.quota = self._quota(made.base) if self._quota else None
            except (OSError, WorkspaceUnavailableError) as error:
                raise ToolError(f"The caller's workspace cannot be opened: {error}", code="failed") from error
            self._open_now[name] = made
            return made

    def _make_folder(self) -> None:
        """Make the folder of the workspaces, while no command could take it for its own."""
        if self.folder.is_dir() and not self.folder.is_symlink():
            return
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_path.open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ToolError(
                    "A command that may write in ALLOW_FS_BASE is running, so the first workspace of an owner cannot "
                    "be made now. Try again.",
                    code="conflict",
                ) from None
            os.mkdir(self.folder, OWNER_ONLY)  # noqa: PTH102  a file of this name is an error, and a link too


def _exists(workspace: Workspace) -> bool:
    """Return whether the folder was not removed since it was opened."""
    try:
        with workspace.open_folder(".") as folder:
            return os.fstat(folder.fileno()).st_nlink > 0
    except ToolError:
        return False
