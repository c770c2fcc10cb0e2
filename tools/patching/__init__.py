"""Patches: their parsing, and their effects on files. Pure functions that neither read nor write files.

The reference is `git apply`. It refuses these, which are accepted here:

- wrong line numbers and counts, if a hunk fits in one place only; lines beyond the counts, which git skips
- a hunk in its place without the context that git requires at a file's start and end
- plain LF in a patch of a file with CRLF, which keeps its own line ends
- a patch with CRLF in every line, or without a newline at its end
- lines that differ in invisible characters, and headers without numbers, if the patch has one reading (`forgiving`)
- `/dev/null` as the only mark of a new or deleted file in a `diff --git` part

It accepts these, which are refused here:

- a hunk with a wrong number and several places, of which git takes the nearest; hunks out of order
- links, submodules, binary files, and paths to git's own folder
- a file that becomes a folder, or the reverse
- a file that one patch changes and then moves or deletes
- two names after `---` and `+++` that differ by more than their prefixes; lines of other formats
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
