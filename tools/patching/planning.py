"""From what a patch says, and the files as they are, to what becomes of them.

Sections on one file compose in their order. What is moved or copied is the file as it was before the patch, as git has
it, so that names can be swapped; a file is moved or deleted by one section, and no other changes it before.
"""

from pathlib import PurePosixPath

from tools.base import ToolError, ToolErrorCode
from tools.patching.applying import patched
from tools.patching.limits import DEFAULT_LIMITS, Allowance, Limits
from tools.patching.patch import Patch, Section
from tools.patching.plan import Content, Effect, PatchedFile, Plan, Read
from tools.patching.telling import quoted, refusal

NO_CONTENT = Content(data=b"")


def apply(patch: Patch, read: Read, limits: Limits = DEFAULT_LIMITS) -> Plan:
    """What the patch makes of the files that `read` gives, all of it or nothing; `read` is asked once for a path.

    Raises `ToolError`: `not_found` for a missing file, `conflict` for one that is not as the patch expects, or is there
    where none should be, `invalid_params` for a hunk with several places, `too_large` beyond the limits; and
    whatever `read` raises.
    """
    draft = _Draft(patch, read, limits)
    for section in patch.sections:
        draft.take(section)
    return draft.plan()


class _Draft:
    """The files while a patch's sections are applied to them."""

    def __init__(self, patch: Patch, read: Read, limits: Limits) -> None:
        self._read = read
        self._contents = Allowance(limits.max_content_bytes, "bytes of files can be read and made at once")
        self._searches = Allowance(limits.max_searched_bytes, "bytes can be searched for hunks with wrong line numbers")
        self._moving = {section.source for section in patch.sections if section.action == "move"}
        self._before: dict[str, Content | None] = {}
        self._after: dict[str, Content | None] = {}
        self._arrived: set[str] = set()
        self._removed: set[str] = set()
        self._files: dict[str, PatchedFile] = {}

    def take(self, section: Section) -> None:
        """Applies one section. Raises `ToolError`."""
        base = self._base(section)
        content = self._changed(section, base)
        if section.source is not None and section.action == "move":
            self._remove(section, section.source)
        if section.action == "delete":
            self._remove(section, section.path)
        else:
            self._after[section.path] = content
        self._tell(section, base)

    def plan(self) -> Plan:
        """What all sections together do. Raises `ToolError` for a file where a folder is to be, or the reverse."""
        effects = tuple(
            Effect(path=path, before=self._original(path), after=after)
            for path, after in self._after.items()
            if after is not None or self._original(path) is not None
        )
        _refuse_folders(effects)
        return Plan(files=tuple(self._files.values()), effects=effects)

    def _base(self, section: Section) -> Content:
        """What the section's hunks are applied to."""
        if section.action in {"add", "move", "copy"}:
            self._arrive(section)
        if section.action == "add":
            return NO_CONTENT
        path = section.source or section.path
        base = self._original(path) if section.source else self._current(path)
        if base is None:
            taken = " any more: an earlier part takes it away" if path in self._after else ""
            raise _refusal(section, path, f"does not exist{taken}", "not_found")
        return base

    def _arrive(self, section: Section) -> None:
        """Raises `ToolError` where there is a file already that the patch does not move away."""
        path = section.path
        if path == section.source:
            raise _refusal(section, path, f"cannot be the target of its own {section.action}", "invalid_params")
        vacated = path not in self._after and path in self._moving
        if not vacated and self._current(path) is not None:
            raise _refusal(section, path, "exists already, and would be lost", "conflict")
        self._arrived.add(path)

    def _remove(self, section: Section, path: str) -> None:
        replaced = path in self._arrived and path not in self._removed and section.action == "move"
        if path in self._after and not replaced:
            raise _refusal(
                section,
                path,
                f"is changed by an earlier part: to {section.action} it now, make two patches",
                "invalid_params",
            )
        self._removed.add(path)
        self._after.setdefault(path, None)

    def _changed(self, section: Section, base: Content) -> Content:
        data = base.data
        if section.hunks:
            data = patched(section, section.source or section.path, data, self._searches)
        if section.action == "delete" and section.format == "unified" and data:
            raise _refusal(section, section.path, f"still has {len(data)} bytes after its deletion", "conflict")
        self._contents.spend(len(data))
        executable = base.executable if section.executable is None else section.executable
        return Content(data=data, executable=executable)

    def _tell(self, section: Section, base: Content) -> None:
        """Adds to what is told of the file."""
        added = sum(hunk.count("+") for hunk in section.hunks)
        removed = sum(hunk.count("-") for hunk in section.hunks)
        if section.action == "delete" and not section.hunks:
            removed = base.data.count(b"\n") + (not base.data.endswith(b"\n") and bool(base.data))
        told = self._files.get(section.path)
        self._files[section.path] = PatchedFile(
            path=section.path,
            action=told.action if told and section.action == "update" else section.action,
            source=told.source if told and section.action == "update" else section.source,
            added=added + (told.added if told else 0),
            removed=removed + (told.removed if told else 0),
        )

    def _original(self, path: str) -> Content | None:
        """The file as it was before the patch."""
        if path not in self._before:
            content = self._read(path)
            self._contents.spend(len(content.data) if content else 0)
            self._before[path] = content
        return self._before[path]

    def _current(self, path: str) -> Content | None:
        """The file as the sections so far leave it."""
        return self._after[path] if path in self._after else self._original(path)


def _refusal(section: Section, path: str, sentence: str, code: ToolErrorCode) -> ToolError:
    return refusal(section.number, f"{quoted(path.encode())} {sentence}.", code)


def _refuse_folders(effects: tuple[Effect, ...]) -> None:
    """Raises `ToolError` where a name is a file's on one side and a folder's on the other: that takes two steps."""
    files = {effect.path for effect in effects}
    for effect in effects:
        for folder in PurePosixPath(effect.path).parents:
            if str(folder) in files:
                raise ToolError(
                    f"{quoted(str(folder).encode())} cannot be a file and the folder of {quoted(effect.path.encode())} "
                    "in one patch: make two patches of it.",
                    code="invalid_params",
                )
