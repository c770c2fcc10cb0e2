"""Planning: from a patch and the files before it to its effects.

Several sections on one file apply in their order. A move or a copy takes the file as it was before the patch, as in
git, so a patch can swap names. Only one section may move or delete a file, and no section before it may change it.
"""

from pathlib import PurePosixPath

import msgspec

from tools.base import ToolError, ToolErrorCode
from tools.patching.applying import patched
from tools.patching.limits import DEFAULT_LIMITS, Allowance, Limits
from tools.patching.messages import quoted, refusal
from tools.patching.patch import Patch, Section
from tools.patching.plan import Content, Effect, PatchedFile, Plan, Read
from web.plurals import noun_for

NO_CONTENT = Content(data=b"")


def apply(patch: Patch, read: Read, limits: Limits = DEFAULT_LIMITS) -> Plan:
    """Return the effects of the whole patch. `read` is called once for each path.

    Raises the errors of `read`, and `ToolError`:

    - `not_found` for a missing file
    - `conflict` for a file that is not as the patch expects, or that should not exist
    - `invalid_params` for a hunk with several places
    - `too_large` beyond the limits
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
        self._notes = list(patch.notes)

    def take(self, section: Section) -> None:
        """Apply one section. Raises `ToolError`."""
        section = self._named(section)
        base = self._base(section)
        data = base.data
        if section.hunks:
            data, note = patched(section, section.source or section.path, data, self._searches)
            if note:
                self._notes.append(f"{section.path}: {note}.")
        if section.action == "delete" and section.format == "unified" and data:
            raise _refusal(
                section,
                section.path,
                f"still has {len(data)} {noun_for(len(data), 'byte')} after its deletion",
                "conflict",
            )
        self._contents.spend(len(data))
        executable = base.executable if section.executable is None else section.executable
        if section.source is not None and section.action == "move":
            self._remove(section, section.source)
        if section.action == "delete":
            self._remove(section, section.path)
        else:
            self._after[section.path] = Content(data=data, executable=executable)
        self._add_file(section, base)

    def plan(self) -> Plan:
        """Return the effects of all sections. Raises `ToolError` if one path would be a file and a folder."""
        effects = tuple(
            Effect(path=path, before=self._original(path), after=after)
            for path, after in self._after.items()
            if after is not None or self._original(path) is not None
        )
        # A batch of changes makes and removes files, but no folder in the place of a file: that takes two steps.
        files = {effect.path for effect in effects}
        for effect in effects:
            for folder in map(str, PurePosixPath(effect.path).parents):
                if folder in files:
                    raise ToolError(
                        f"{quoted(folder.encode())} cannot be a file and the folder of {quoted(effect.path.encode())} "
                        "in one patch: make two patches of it.",
                        code="invalid_params",
                    )
        return Plan(files=tuple(self._files.values()), effects=effects, notes=tuple(dict.fromkeys(self._notes)))

    def _named(self, section: Section) -> Section:
        """Return the section with the one of its names that exists. Raises `ToolError` if there are two."""
        if not section.others and section.unlike is None:
            return section
        names = dict.fromkeys((section.path, *section.others, *filter(None, (section.unlike,))))
        existing = [path for path in names if self._current(path) is not None]
        if section.unlike in existing or (section.path not in existing and existing[1:]):
            shown = " and ".join(quoted(path.encode()) for path in dict.fromkeys((*existing, section.path)))
            raise refusal(section.number, f"the patch may mean {shown}: give the path of one file, and in both lines.")
        if not existing or existing[0] == section.path:
            return section
        self._notes.append(f"{existing[0]}: the patch names it {section.path}.")
        return msgspec.structs.replace(section, path=existing[0])

    def _base(self, section: Section) -> Content:
        """Return the content that the section's hunks apply to. Raises `ToolError`."""
        if section.action in {"add", "move", "copy"}:
            path = section.path
            if path == section.source:
                raise _refusal(section, path, f"cannot be the target of its own {section.action}", "invalid_params")
            # A file at the new path may stay only if the patch moves it away.
            vacated = path not in self._after and path in self._moving
            if not vacated and self._current(path) is not None:
                raise _refusal(section, path, "exists already, and would be lost", "conflict")
            self._arrived.add(path)
        if section.action == "add":
            return NO_CONTENT
        path = section.source or section.path
        base = self._original(path) if section.source else self._current(path)
        if base is None:
            removed = " any more: an earlier part removes it" if path in self._after else ""
            raise _refusal(section, path, f"does not exist{removed}", "not_found")
        return base

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

    def _add_file(self, section: Section, base: Content) -> None:
        """Add the section to the list of files, or to the entry of its file."""
        added = sum(hunk.count("+") for hunk in section.hunks)
        removed = sum(hunk.count("-") for hunk in section.hunks)
        if section.action == "delete" and not section.hunks:
            # The envelope format deletes a file without its lines: all of them, and an open last one.
            removed = base.data.count(b"\n") + (not base.data.endswith(b"\n") and bool(base.data))
        earlier = self._files.get(section.path)
        self._files[section.path] = PatchedFile(
            path=section.path,
            action=earlier.action if earlier and section.action == "update" else section.action,
            source=earlier.source if earlier and section.action == "update" else section.source,
            added=added + (earlier.added if earlier else 0),
            removed=removed + (earlier.removed if earlier else 0),
        )

    def _original(self, path: str) -> Content | None:
        """Return the file as it was before the patch."""
        if path not in self._before:
            content = self._read(path)
            self._contents.spend(len(content.data) if content else 0)
            self._before[path] = content
        return self._before[path]

    def _current(self, path: str) -> Content | None:
        """Return the file after the sections until now."""
        return self._after[path] if path in self._after else self._original(path)


def _refusal(section: Section, path: str, sentence: str, code: ToolErrorCode) -> ToolError:
    return refusal(section.number, f"{quoted(path.encode())} {sentence}.", code)
