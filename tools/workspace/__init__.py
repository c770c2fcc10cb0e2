"""Confined files: tools read, list, search and write only through a `Workspace`."""

from tools.workspace.confined import Workspace
from tools.workspace.confinement.files import File, Folder
from tools.workspace.confinement.names import SECRETS, SecretNames
from tools.workspace.confinement.opening import KernelOpener, WalkOpener, WorkspaceUnavailableError
from tools.workspace.deadline import Deadline
from tools.workspace.limits import Limits
from tools.workspace.reading.pages import Page, read_page
from tools.workspace.reading.patterns import Glob, LinePattern
from tools.workspace.reading.search import LineSearch, Match
from tools.workspace.threads import in_thread
from tools.workspace.walking import Entry, EntryType, Walk, Wanted
from tools.workspace.writing import Change, Changed

__all__ = [
    "SECRETS",
    "Change",
    "Changed",
    "Deadline",
    "Entry",
    "EntryType",
    "File",
    "Folder",
    "Glob",
    "KernelOpener",
    "Limits",
    "LinePattern",
    "LineSearch",
    "Match",
    "Page",
    "SecretNames",
    "Walk",
    "WalkOpener",
    "Wanted",
    "Workspace",
    "WorkspaceUnavailableError",
    "in_thread",
    "read_page",
]
