"""The effects of a patch on files."""

from collections.abc import Callable

import msgspec

from tools.patching.patch import Action


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file: its bytes, and whether it is executable."""

    data: bytes
    executable: bool = False


Read = Callable[[str], Content | None]
"""Returns the file at a path before the patch; None if there is none."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a path before and after the patch. One of them may be None, for no file."""

    path: str
    before: Content | None
    after: Content | None


class PatchedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the patch changes, with the numbers of added and removed lines; `source` as in a `Section`."""

    path: str
    action: Action
    source: str | None
    added: int
    removed: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a patch in their order, and its effects, one for each path, which must be made together.

    `notes` list the forgiven differences.
    """

    files: tuple[PatchedFile, ...]
    effects: tuple[Effect, ...]
    notes: tuple[str, ...] = ()
