"""Entries that a command may not leave behind: they are moved out of the workspace when it has ended.

The kernel lets a command that may write also make `.git`, files with the name of a secret, and links that lead out. A
person's git would run what such a folder names. A plan on disk lists the entries before the command. The service
carries it out, the launcher if the service was killed, or the next service.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.sandbox.policy import Part
from tools.sandbox.protection.names import SecretPatterns, is_git
from tools.sandbox.subtrees import MAX_DEPTH, open_part

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OWNER_ONLY = 0o700
MAX_NAME_BYTES = 200
# In a folder with these three, git takes the folder itself for a repository.
BARE_REPOSITORY = {"HEAD", "objects", "refs"}
UNREADABLE, TOO_DEEP = "unreadable", "too deep"


class Plan(NamedTuple):
    """The workspace `root` with the entries `before` a command, each with its detail.

    `places` are folders outside, to which links may lead. Entries are moved into the folder `quarantine`.
    """

    root: str
    before: dict[str, str]
    secret_globs: Sequence[str]
    places: Sequence[str]
    quarantine: str

    def encode(self) -> bytes:
        """Return the plan as JSON."""
        return json.dumps(self._asdict()).encode()


class _Rules:
    """The tests of entries: names, and where links lead."""

    def __init__(self, root: str, secret_globs: Sequence[str], places: Sequence[str]) -> None:
        self._root = root
        self._secrets = SecretPatterns(secret_globs)
        self._inside = tuple(f"{os.path.realpath(place)}/" for place in (root, *places))

    def detail(self, names: tuple[str, ...], folder: int, *, is_link: bool) -> str | None:
        """Return what identifies a protected entry, or None for any other. Raises `FileNotFoundError`."""
        if is_git(names[-1]) or self._secrets.cover(names[-1:]):
            return ""
        if not is_link:
            return None
        target = os.readlink(names[-1], dir_fd=folder)
        real = os.path.realpath(target if target[:1] == "/" else "/".join((self._root, *names[:-1], target)))
        return None if f"{real}/".startswith(self._inside) else target


def survey(root: str, secret_globs: Sequence[str], places: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each protected entry of a workspace by its names, with its detail: a link's target, or why it is closed."""
    rules = _Rules(root, secret_globs, places)
    base = os.open(root, FOLDER)
    try:
        pending: list[tuple[str, ...]] = [()]
        while pending:
            names = pending.pop()
            if len(names) > MAX_DEPTH:
                yield names, TOO_DEEP
                continue
            try:
                folder = open_part(Part(base, names), FOLDER)
            except FileNotFoundError:  # it was removed meanwhile
                continue
            except OSError:
                yield names, UNREADABLE
                continue
            try:
                yield from _survey_folder(folder, names, rules, pending)
            finally:
                os.close(folder)
    finally:
        os.close(base)


def _survey_folder(
    folder: int, names: tuple[str, ...], rules: _Rules, pending: list[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the protected entries of a folder, and add its other folders to `pending`."""
    with os.scandir(folder) as listed:
        entries = list(listed)
    if {entry.name for entry in entries} >= BARE_REPOSITORY:
        yield (*names, "HEAD"), ""
    for entry in entries:
        path = (*names, entry.name)
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            detail = rules.detail(path, folder, is_link=entry.is_symlink())
            if detail is not None:
                yield path, detail
            elif entry.is_dir(follow_symlinks=False):
                pending.append(path)


def clear(plan_path: str, *, keep: bool = False) -> list[str]:
    """Move new protected entries into quarantine, and return its paths. The plan is removed unless `keep`."""
    try:
        with open(plan_path, "rb") as file:  # noqa: PTH123  slow
            plan = Plan(**json.load(file))
    except FileNotFoundError:  # another process has cleared up
        return []
    moved: list[str] = []
    base = os.open(plan.root, FOLDER)
    try:
        for names, detail in survey(plan.root, plan.secret_globs, plan.places):
            path = "/".join(names)
            if plan.before.get(path) == detail:
                continue
            try:
                _move(base, names, plan.quarantine, len(moved))
            except FileNotFoundError:  # it was removed meanwhile
                continue
            except OSError:
                # The plan stays, and the next service tries again.
                keep = True
            moved.append(path)
    finally:
        os.close(base)
    if not keep:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(plan_path)  # noqa: PTH108  slow
    return moved


def _move(base: int, names: Sequence[str], quarantine: str, number: int) -> None:
    """Move an entry out of the workspace. Raises `OSError`."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(quarantine, OWNER_ONLY)  # noqa: PTH102  slow
    kept = os.fsencode(f"{quarantine}/{number}-") + os.fsencode(names[-1])[:MAX_NAME_BYTES]
    parent = open_part(Part(base, names[:-1]), FOLDER)
    try:
        os.rename(os.fsencode(names[-1]), kept, src_dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system is mounted there. Under such a name the entry does nothing.
        harmless = f"quarantined-{quarantine.rpartition('/')[2]}-{number}"
        os.rename(names[-1], harmless, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        os.close(parent)
