"""The check of a command against the table: the argv that is run, or why the command is refused."""

from collections.abc import Mapping, Sequence

import msgspec

from tools.base import ToolError
from tools.commands.expression import check_expression
from tools.commands.operands import Ground
from tools.commands.program import ALWAYS, Option, Program
from tools.commands.revisions import held_to_commits, split_operands
from tools.commands.words import check_words, shown

__all__ = ["Checked", "Ground", "check", "normalised"]

PROJECT = "a program of the project"
"""The name of commands that are not in the table."""

ELSEWHERE = {
    "cd": "give the folder as cwd",
    "pushd": "give the folder as cwd",
    "sed": "read lines with fs.read, change them with fs.apply_patch",
    "awk": "use grep, or read with fs.read",
    "tee": "write with fs.write",
    "touch": "write with fs.write",
    "mkdir": "fs.write makes the folders that it needs",
    "python3": "only 'python --version' runs here",
}
"""Advice for programs that are often requested and are not in the table."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A command that may be run. `name` is its entry in the table, such as `ls` or `git log`."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


def check(argv: Sequence[str], table: Mapping[str, Program], ground: Ground) -> Checked:
    """Return the command as it is run: options first, each in a word of its own, then `--` and the operands.

    Raises `ToolError`: `invalid_params`, `not_allowed`, `outside_workspace`.
    """
    argv = check_words(argv)
    if argv[0] not in table and argv[0] != "git" and ground.is_program(argv[0]):
        return Checked(name=PROJECT, argv=tuple(argv), environment={})
    name, words = _entry(argv, table)
    program = table[name]
    if program.operands == "text":
        given = tuple(words)
    elif program.operands == "expression":
        given = check_expression(name, words, program, ground)
    else:
        given = _Words(name, program, ground).checked(words)
    return Checked(name=name, argv=(*name.split(), *program.fixed, *given), environment=program.environment)


def _entry(argv: Sequence[str], table: Mapping[str, Program]) -> tuple[str, Sequence[str]]:
    """Return the table's name of the command, and the words after it."""
    words = normalised(argv)
    # The longest name first: `git log` is an entry, `git` is none.
    for length in (3, 2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in table and name != "git":
            return name, words[length:]
    if words[0] == "git":
        commands = ", ".join(sorted(known.removeprefix("git ") for known in table if known.startswith("git ")))
        raise ToolError(
            f"git {shown(words[1]) if len(words) > 1 else 'by itself'} is not among git's commands here: {commands}.",
            code="not_allowed",
        )
    programs = ", ".join(dict.fromkeys(known.split()[0] for known in table))
    advice = f" Instead: {ELSEWHERE[words[0]]}." if words[0] in ELSEWHERE else ""
    raise ToolError(f"{shown(words[0])} is not among the programs here: {programs}.{advice}", code="not_allowed")


def normalised(argv: Sequence[str]) -> Sequence[str]:
    """Return the command with git's own command as its second word. Raises `ToolError`."""
    return (argv[0], *_git_command(argv[1:])) if argv[0] == "git" else argv


def _git_command(words: Sequence[str]) -> Sequence[str]:
    """Return git's words from its command on. Raises `ToolError` for an option before it."""
    # Such an option is a setting (`-c core.pager=...`) or leads elsewhere (`-C`, `--git-dir`). Two are harmless.
    rest = list(words)
    while rest and rest[0] in {"--no-pager", "-P"}:
        rest.pop(0)
    if rest and rest[0] in {"--version", "-v"}:
        return ["version", *rest[1:]]
    if rest and rest[0].startswith("-"):
        raise ToolError(
            f"git takes no option {shown(rest[0])} before its command here: begin with the command, such as "
            "'git status', and give the folder as cwd.",
            code="not_allowed",
        )
    return rest


class _Words:
    """The parser of the words after a program's name."""

    def __init__(self, name: str, program: Program, ground: Ground) -> None:
        self._name = name
        self._program = program
        self._ground = ground
        self._options: list[str] = []
        self._seen: set[str] = set()
        self._operands: list[str] = []
        self._paths: list[str] | None = None

    def checked(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the options and operands as the program gets them. Raises `ToolError`."""
        pending = list(words)
        while pending:
            word = pending.pop(0)
            if word == "--":
                self._paths = pending
                break
            if word.startswith("-") and word != "-":
                self._option(word, pending)
            else:
                self._operands.append(word)
        self._check_operands()
        if self._program.any_option:
            # Which option takes the next word as its value is not known here, so the order must not change.
            return tuple(words)
        return (*self._options, *self._final_operands())

    def _option(self, word: str, pending: list[str]) -> None:
        if self._program.any_option:
            # An option that no list binds must still not name a secret or a path outside. `-f@FILE` is a common form.
            value = word.partition("=")[2] if "=" in word else word[2:]
            for path in (value, value.lstrip("@=")):
                self._ground.check_path(path)
        elif word in self._program.options:
            self._take(self._program.options[word], None, pending)
        elif self._program.number and word[1:].isdecimal():
            self._take(self._program.options[self._program.number], word[1:], pending)
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            self._take(self._known(name, word), value if equals else None, pending)
        else:
            self._cluster(word, pending)

    def _cluster(self, word: str, pending: list[str]) -> None:
        """Parse short options in one word: the first that takes a value gets the rest of the word."""
        rest = word[1:]
        while rest:
            option = self._known(f"-{rest[0]}", word)
            rest = rest[1:]
            if option.value is not None:
                self._take(option, rest or None, pending)
                return
            self._take(option, None, pending)

    def _known(self, name: str, word: str) -> Option:
        option = self._program.options.get(name)
        if option is None:
            inside = "" if name == word else f" in {shown(word)}"
            raise ToolError(
                f"{shown(name)}{inside} is not among the options of {self._name} here: {self._program.notations}.",
                code="not_allowed",
            )
        return option

    def _take(self, option: Option, value: str | None, pending: list[str]) -> None:
        """Add the option in its one unambiguous form: a value stands in the option's own word."""
        # A program could otherwise read the value as an operand, or an operand as the value.
        self._seen.add(option.name)
        if option.value is None:
            if value is not None:
                raise ToolError(f"{option.name} of {self._name} takes no value: leave '=' out.", code="not_allowed")
            self._options.append(option.name)
            return
        if value is None:
            if option.optional:
                self._options.append(option.name)
                return
            if not pending:
                raise ToolError(
                    f"{option.name} of {self._name} takes a value: write {option.notation}.", code="invalid_params"
                )
            value = pending.pop(0)
        self._ground.check_value(option.value, value, option.name)
        if option.name.startswith("--"):
            self._options.append(f"{option.name}={value}")
        elif value:
            self._options.append(f"{option.name}{value}")
        else:
            self._options.extend((option.name, value))

    def _check_operands(self) -> None:
        """Check the operands. Raises `ToolError` for one that the program may not get."""
        everything = [*self._operands, *(self._paths or ())]
        kind, maximum = self._program.operands, self._program.max_operands
        if everything and kind == "none":
            raise ToolError(f"{self._name} takes no {shown(everything[0])} here: leave it out.", code="not_allowed")
        if maximum is not None and len(everything) > maximum:
            raise ToolError(
                f"{self._name} takes at most {maximum} file here, and would write to "
                f"{shown(everything[maximum])}: leave it out.",
                code="not_allowed",
            )
        needed = self._program.operands_with
        if everything and needed and not self._seen.intersection(needed):
            # Without an option that lists, `git branch NAME` and `git tag NAME` create.
            raise ToolError(
                f"{self._name} only lists here, and would create {shown(everything[0])}: add {needed[-1]} to list "
                "matching names.",
                code="not_allowed",
            )
        for word in everything[self._patterns(everything) :]:
            if kind == "revisions, paths" or self._name == "git grep":
                self._ground.check_revision(word)
            else:
                self._ground.check_path(word.partition("::")[0] if kind == "tests" else word)

    def _patterns(self, everything: Sequence[str]) -> int:
        """Return how many of the operands are patterns."""
        if self._program.operands == "patterns":
            return len(everything)
        first = self._program.operands == "pattern, paths" and not self._seen.intersection(
            self._program.pattern_options
        )
        return 1 if first else 0

    def _final_operands(self) -> tuple[str, ...]:
        operands, paths = self._operands, self._paths
        patterns: list[str] = []
        if self._name == "git grep" and self._patterns(operands):
            # A pattern that starts with a dash would be an option.
            patterns, operands = ["-e", operands[0]], operands[1:]
        if self._hides_secrets():
            if paths is None:
                operands, paths = split_operands(operands, self._ground.exists)
            # In the log of a branch git accepts only its name, and shows only commits.
            if not self._seen.intersection(("-g", "--walk-reflogs")):
                operands = [held_to_commits(word) for word in operands]
            paths = [*paths, *self._ground.without_secrets()]
        return (*patterns, *operands) if paths is None else (*patterns, *operands, "--", *paths)

    def _hides_secrets(self) -> bool:
        """Return whether secrets must be left out of git's answer. Raises `ToolError` if they cannot be."""
        showing = self._program.shows_content
        shows = showing == ALWAYS or bool(self._seen.intersection(showing))
        if shows and "--follow" in self._seen:
            # git takes exactly one pathspec with `--follow`, so none that excludes secrets can be added.
            raise ToolError(
                "git log --follow cannot be combined with options that show content: leave out one of them.",
                code="not_allowed",
            )
        return shows
