"""The changes of a run as the API shows them."""

from typing import Any, Final

from tools.base import Permits
from tools.changes.diff import unified_diff
from tools.changes.log import ChangedFile, RunChanges
from tools.output.masking import Masker

MAX_DIFF_CHARS: Final = 1_000_000
"""Characters of a diff. Files beyond it are listed, but not compared."""


def described(changes: RunChanges, may_read: Permits, masker: Masker) -> dict[str, Any]:
    """Return the changed files that the caller may read, and their difference. This blocks."""
    items, parts, size = [], [], 0
    truncated = False
    for file in changes.files():
        if not may_read(file.path):
            continue
        items.append(
            {
                "path": file.path,
                "action": _action(file),
                "sha256_before": file.before.sha256 if file.before else None,
                "sha256_after": file.after.sha256 if file.after else None,
                "restorable": file.is_restorable,
            }
        )
        truncated = truncated or size > MAX_DIFF_CHARS
        if not truncated:
            parts.append(masker.text(_diff(changes, file)))
            size += len(parts[-1])
    text = "".join(parts)
    return {"files": items, "diff": text[:MAX_DIFF_CHARS], "truncated": truncated or size > MAX_DIFF_CHARS}


def _action(file: ChangedFile) -> str:
    if file.before is None:
        return "none" if file.after is None else "created"
    if file.after is None:
        return "removed"
    return "none" if file.before == file.after else "changed"


def _diff(changes: RunChanges, file: ChangedFile) -> str:
    if file.before == file.after:
        return ""
    if not file.is_restorable:
        return f"Files a/{file.path} and b/{file.path} are too large to be compared\n"
    before, after = (changes.read(content) if content else None for content in (file.before, file.after))
    return unified_diff(file.path, before, after)
