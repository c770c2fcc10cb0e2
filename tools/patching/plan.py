"""What a patch would make of files."""

from collections.abc import Callable

import msgspec

from tools.patching.patch import Action


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is: its bytes, and whether it may be executed."""

    data: bytes
    executable: bool = False


Read = Callable[[str], Content | None]
"""Gives the file at a path as it is before the patch; None where there is none."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one path was and is to be: None for no file. Never both."""

    path: str
    before: Content | None
    after: Content | None


class PatchedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the patch does to one file, and how many lines it adds and removes; `source` as in a `Section`."""

    path: str
    action: Action
    source: str | None
    added: int
    removed: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a patch in its order, and the effects, one for a path, that are to happen together."""

    files: tuple[PatchedFile, ...]
    effects: tuple[Effect, ...]
