"""What the words of a command name: files in the workspace, revisions of git, and what neither may be.

The kernel confines a command whatever it names. This says so beforehand, in a sentence.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from tools.base import ToolError
from tools.commands.program import Value
from tools.commands.words import shown

NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,9})?[A-Za-z%]{0,3}")
WORD = re.compile(r"[A-Za-z0-9_.,:+%/=@^-]{1,200}")
REVISION_MARKS = re.compile(r"[/\\:!^(){}\s]+")
HASH = re.compile(r"(^|\^|\.\.\.?)([0-9a-fA-F]{4,64})(?=$|\.\.)")
ANY_OBJECT = re.compile(r"\^\{(?!commit\}|tag\}|/)[^}]*\}")


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command stands: `cwd` names its folder beneath the workspace, whose absolute paths are `roots`.

    `is_secret` and `is_git` tell of one name of a path; `secret_globs` are the names of secrets, for git to leave out.
    """

    roots: tuple[str, ...]
    cwd: tuple[str, ...]
    is_secret: Callable[[str], bool]
    is_git: Callable[[str], bool]
    secret_globs: tuple[str, ...] = ()

    def check_path(self, word: str) -> None:
        """Raises `ToolError` (`outside_workspace`, `not_allowed`) for a path that no command is given."""
        depth = len(self.cwd)
        rest = word
        if word.startswith("/"):
            depth, rest = 0, self._beneath(word)
        for name in rest.split("/"):
            depth += -1 if name == ".." else name not in {"", "."}
            if depth < 0:
                raise _outside(word)
        self.check_names(rest.split("/"), word)

    def check_names(self, names: Sequence[str], word: str) -> None:
        """Raises `ToolError` (`not_allowed`) where one of the names is git's own folder or a secret's."""
        for name in names:
            if self.is_git(name):
                raise ToolError(
                    f"{shown(word)} names git's own folder, which no command is given: use git's reading commands.",
                    code="not_allowed",
                )
            if self.is_secret(name):
                raise ToolError(
                    f"{shown(word)} has the name of a secret, which no command is given: leave it out.",
                    code="not_allowed",
                )

    def check_revision(self, word: str) -> None:
        """The same for what git takes: a commit, a range, a path, `HEAD:path` or `:(magic)path`."""
        self.check_names(REVISION_MARKS.split(word), word)
        for piece in () if word.startswith(":/") else word.split(":"):
            if piece.startswith("/") or ".." in piece.split("/"):
                self.check_path(piece)
        if ANY_OBJECT.search(word):
            raise ToolError(f"{shown(word)} names an object by its kind: name a commit.", code="not_allowed")

    def check_value(self, kind: Value, value: str, option: str) -> None:
        """Raises `ToolError` for an option's value that is not of its kind, or names what no command is given."""
        if (kind == "NUMBER" and not NUMBER.fullmatch(value)) or (kind == "WORD" and not WORD.fullmatch(value)):
            form = "a number, such as 5" if kind == "NUMBER" else "a plain word"
            raise ToolError(f"{shown(value)} is no value for {option}, which takes {form}.", code="not_allowed")
        if kind == "PATH":
            self.check_path(value)
        elif kind == "REVISION":
            self.check_revision(value)
        elif kind in {"GLOB", "WORD"}:
            self.check_names(value.lstrip("!").split("/"), value)

    def without_secrets(self) -> tuple[str, ...]:
        """Git's pathspecs that leave out what has the name of a secret, wherever it is."""
        return tuple(
            f":(exclude,icase,glob,top)**/{glob}{below}" for glob in self.secret_globs for below in ("", "/**")
        )

    def _beneath(self, path: str) -> str:
        for root in self.roots:
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return path[len(root) :]
        raise _outside(path)


def commits_alone(word: str) -> str:
    """The revision with each hash in it held to a commit: by its hash, any file that ever was could be shown."""
    return HASH.sub(r"\1\2^{commit}", word)


def _outside(word: str) -> ToolError:
    return ToolError(
        f"{shown(word)} leads outside the workspace: give a path that is relative to cwd and stays in the workspace.",
        code="outside_workspace",
    )
