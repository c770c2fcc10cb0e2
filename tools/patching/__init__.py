"""Patches: what a text says, and what it makes of files. On values alone, without reading or writing anything.

The measure is `git apply`. What it refuses and we take:
- wrong line numbers and counts, where a hunk fits in one place alone; lines beyond the counts, which git passes over;
- a hunk in its place without the context that git wants at a file's start and end;
- plain LF in a patch of a file of CRLF, which keeps its own; a patch that came with CRLF everywhere, or without an end;
- `/dev/null` as all that a `diff --git` part says of a new or deleted file.

What git takes and we refuse:
- a hunk with a wrong number and several places, of which git takes the nearest; hunks out of order;
- links, submodules, binary files, and paths to git's own folder;
- a file that becomes a folder, or the reverse; a file that one patch changes and then moves or deletes;
- two names after `---` and `+++` that differ by more than their prefixes; lines of other formats.
"""

from tools.patching.formats.parsing import parse
from tools.patching.limits import Limits
from tools.patching.patch import Action, Hunk, Line, Patch, Section
from tools.patching.plan import Content, Effect, PatchedFile, Plan, Read
from tools.patching.planning import apply

__all__ = [
    "Action",
    "Content",
    "Effect",
    "Hunk",
    "Limits",
    "Line",
    "Patch",
    "PatchedFile",
    "Plan",
    "Read",
    "Section",
    "apply",
    "parse",
]
