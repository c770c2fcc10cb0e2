"""The files of a workspace that an index covers.

Left out are secrets, links, hidden files and folders, git's own folder, and what `.gitignore` names.
"""

from collections.abc import Iterator

from retrieval.base import DocumentError, SourceFile
from tools.base import ToolError
from tools.workspace import Deadline, Wanted, Workspace
from tools.workspace.confinement.paths import Parts


def is_visible(parts: Parts) -> bool:
    """Return whether no name of a path begins with a dot."""
    return not any(name.startswith(".") for name in parts)


class WorkspaceSource:
    """The files of a workspace, until a deadline. The rules of a policy apply to searches, not here."""

    def __init__(self, workspace: Workspace, deadline: Deadline) -> None:
        self._workspace = workspace
        self._deadline = deadline
        self.complete = False

    def files(self) -> Iterator[SourceFile]:
        """Yield the files. Raises `DocumentError` if the workspace cannot be listed."""
        self.complete = False
        try:
            root = self._workspace.entry(".")
            wanted = Wanted(match=is_visible, ignored=False)
            walk = self._workspace.walk(root, recursive=True, deadline=self._deadline, wanted=wanted)
            for entry in walk:
                if entry.type == "file" and not self._workspace.secret_names.cover(entry.parts):
                    yield SourceFile(path=entry.path, size=entry.size, modified_ns=entry.modified_ns)
        except ToolError as error:
            raise DocumentError(str(error)) from error
        self.complete = walk.complete

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a file. Raises `DocumentError`."""
        try:
            return self._workspace.read_bytes(path, max_bytes)
        except ToolError as error:
            raise DocumentError(str(error)) from error

    def over(self) -> bool:
        """Return whether the work must stop."""
        return self._deadline.over
