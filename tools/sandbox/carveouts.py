"""What of a workspace no command reads or writes, as `parts_without` asks for it."""

import os

from tools.sandbox.subtrees import Withheld
from tools.workspace.confinement.names import SecretNames, is_git


def unread(names: SecretNames, *, with_git: bool) -> Withheld:
    """Tells what a command does not read: secrets, and git's own folder unless it is git."""

    def withheld(entry: "os.DirEntry[str]") -> bool:
        if is_git(entry.name):
            return not with_git
        return names.cover((entry.name,))

    return withheld


def unwritten(names: SecretNames) -> Withheld:
    """Tells what a command does not write: the same, and what could be one of them, or lie outside, by a hard link."""

    def withheld(entry: "os.DirEntry[str]") -> bool:
        if is_git(entry.name) or names.cover((entry.name,)):
            return True
        return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_nlink > 1

    return withheld
