"""Patches: what a text says, and what it makes of files. On values alone, without reading or writing anything."""

from tools.patching.limits import Limits
from tools.patching.parsing import parse
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
