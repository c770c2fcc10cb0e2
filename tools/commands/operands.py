"""Checks of the paths and revisions that a command names.

The kernel confines a command whatever it names. These checks give a clear message before it runs.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from tools.base import ToolError
from tools.commands.program import Value
from tools.commands.words import shown

NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,9})?[A-Za-z%]{0,3}")
WORD = re.compile(r"[A-Za-z0-9_.,:+%/=@^-]{1,200}")
RAW = re.compile(r"\braw\b")
REVISION_MARKS = re.compile(r"[/\\:!^(){}\s]+")
# `x^{blob}` and `x^{tree}` show an object by its hash: also a file that is a secret, of which no name is checked.
ANY_OBJECT = re.compile(r"\^\{(?!commit\}|tag\}|/)[^}]*\}")


def no_program(word: str) -> bool:
    """Find no program of the project."""
    return False


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for paths of a command. `cwd` is its folder in the workspace, whose absolute paths are `roots`.

    `is_secret` and `is_git` test one name of a path. `secret_globs` are the names of secrets, for git to leave out.
    `exists` tests whether a path leads to a file or folder, `is_program` whether a word names the project's program.
    """

    roots: tuple[str, ...]
    cwd: tuple[str, ...]
    is_secret: Callable[[str], bool]
    is_git: Callable[[str], bool]
    exists: Callable[[str], bool]
    secret_globs: tuple[str, ...] = ()
    is_program: Callable[[str], bool] = no_program

    def check_path(self, word: str) -> None:
        """Check a path. Raises `ToolError` (`outside_workspace`, `not_allowed`) if no command may use it."""
        depth = len(self.cwd)
        rest = word
        if word.startswith("/"):
            roots = (root for root in self.roots if word == root or word.startswith(root.rstrip("/") + "/"))
            root = next(roots, None)
            if root is None:
                raise _outside(word)
            depth, rest = 0, word[len(root) :]
        for name in rest.split("/"):
            depth += -1 if name == ".." else name not in {"", "."}
            if depth < 0:
                raise _outside(word)
        self.check_names(rest.split("/"), word)

    def check_names(self, names: Sequence[str], word: str) -> None:
        """Check the names of a path. Raises `ToolError` (`not_allowed`) for git's own folder and for a secret."""
        for name in names:
            if self.is_git(name):
                raise ToolError(
                    f"{shown(word)} names git's own folder, which no command may use: use git's reading commands.",
                    code="not_allowed",
                )
            if self.is_secret(name):
                raise ToolError(
                    f"{shown(word)} has the name of a secret, which no command may use: leave it out.",
                    code="not_allowed",
                )

    def check_revision(self, word: str) -> None:
        """Check an operand of git: a commit, a range, a path, `HEAD:path` or `:(magic)path`. Raises `ToolError`."""
        self.check_names(REVISION_MARKS.split(word), word)
        # `:/text` searches commit messages: it names no path.
        for piece in () if word.startswith(":/") else word.split(":"):
            if piece.startswith("/") or ".." in piece.split("/"):
                self.check_path(piece)
        if ANY_OBJECT.search(word):
            raise ToolError(f"{shown(word)} names an object by its kind: name a commit.", code="not_allowed")

    def check_value(self, kind: Value, value: str, option: str) -> None:
        """Check an option's value. Raises `ToolError` if it is not of its kind, or names a path that is refused."""
        if (kind == "NUMBER" and not NUMBER.fullmatch(value)) or (kind == "WORD" and not WORD.fullmatch(value)):
            form = "a number, such as 5" if kind == "NUMBER" else "a plain word"
            raise ToolError(f"{shown(value)} is not valid for {option}, which takes {form}.", code="not_allowed")
        if kind == "FIELDS" and RAW.search(value):
            # A tag can point to a file, whose name is not checked then.
            raise ToolError(
                f"{option} takes no field 'raw' here: it shows the content of an object.", code="not_allowed"
            )
        if kind == "PATH":
            self.check_path(value)
        elif kind == "REVISION":
            self.check_revision(value)
        elif kind in {"GLOB", "WORD"}:
            self.check_names(value.lstrip("!").split("/"), value)

    def without_secrets(self) -> tuple[str, ...]:
        """Return the pathspecs of git that leave out files with the name of a secret, in every folder."""
        return tuple(
            f":(exclude,icase,glob,top)**/{glob}{below}" for glob in self.secret_globs for below in ("", "/**")
        )


def _outside(word: str) -> ToolError:
    return ToolError(
        f"{shown(word)} leads outside the workspace: give a path that is relative to cwd and stays in the workspace.",
        code="outside_workspace",
    )
