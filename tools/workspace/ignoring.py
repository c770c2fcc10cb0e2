"""The files that `.gitignore` names. Source: gitignore(5)."""

from contextlib import suppress
from typing import Final

import msgspec
import pathspec

from tools.base import ToolError
from tools.workspace.confinement.files import File
from tools.workspace.confinement.opening import READ_FILE
from tools.workspace.confinement.paths import Parts, joined
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.refusals import tool_errors

NAME: Final = ".gitignore"
MAX_BYTES: Final = 64 * 1024
"""Bytes of one file of rules; a longer one is not used."""

MAX_LINES: Final = 1_000


class IgnoreRules(msgspec.Struct, frozen=True):
    """The rules that apply in a folder: its own, then those of the folders above it, the nearest first."""

    specs: tuple[tuple[int, pathspec.GitIgnoreSpec], ...] = ()

    def ignore(self, parts: Parts, *, is_folder: bool) -> bool:
        """Return whether an entry is ignored."""
        for depth, spec in self.specs:
            # A folder's own rules override those above it, also by a negation.
            included = spec.check_file(joined(parts[depth:]) + "/" * is_folder).include
            if included is not None:
                return included
        return False

    def below(self, resolver: Resolver, folder: Parts) -> "IgnoreRules":
        """Return the rules that apply in a folder below, with those of its own `.gitignore`."""
        with suppress(OSError, ToolError, ValueError), tool_errors(NAME):
            with File(resolver.open((*folder, NAME), READ_FILE), (*folder, NAME)) as file:
                lines = file.read(MAX_BYTES).decode().splitlines()[:MAX_LINES]
            # RE2, because the patterns come from the workspace and must end in linear time.
            spec = pathspec.GitIgnoreSpec.from_lines(filter(_is_valid, lines), backend="re2")
            return IgnoreRules(((len(folder), spec), *self.specs))
        return self


def _is_valid(line: str) -> bool:
    """Return whether a line is a pattern, or a comment. git skips others."""
    try:
        pathspec.GitIgnoreSpec.from_lines((line,), backend="simple")
    except ValueError:
        return False
    return True


def rules_above(resolver: Resolver, folder: Parts) -> IgnoreRules | None:
    """Return the rules that apply to a folder's own entry, from the folders above; None if they ignore the folder."""
    rules = IgnoreRules()
    for depth in range(len(folder)):
        rules = rules.below(resolver, folder[:depth])
        if rules.ignore(folder[: depth + 1], is_folder=True):
            return None
    return rules
