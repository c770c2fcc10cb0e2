"""The entries of a workspace that no command may read or write, for `parts_without`."""

import os

from tools.sandbox.subtrees import Withheld
from tools.workspace.confinement.names import SecretNames, is_git


def unwritten(names: SecretNames) -> Withheld:
    """Return the test for entries that a command may not write: secrets, git's own folder, and hard-linked files."""

    def withheld(entry: "os.DirEntry[str]") -> bool:
        if is_git(entry.name) or names.cover((entry.name,)):
            return True
        # The other name of the file may be a secret's, or lie outside the workspace.
        return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_nlink > 1

    return withheld
