"""The programs that a line of a POSIX shell runs, as far as its text shows them: for the policy's rules.

Seen are the commands of lists, pipes, groups, substitutions and loops, with quotes and backslashes undone. So are those
behind programs that run others (`env`, `xargs`, `find -exec`), and those in the text of `sh -c` and `eval`. Names that
the shell computes (`$x`, globs, `$'\\x67it'`) are not seen, nor are aliases, functions, scripts and code.

Source: POSIX.1-2017, Shell Command Language, 2.3 (tokens), 2.9 (commands) and 2.10 (grammar).
"""

import re
from collections.abc import Iterator, Sequence

from tools.base import ToolError
from tools.commands.limits import MAX_SHELL_PROGRAMS

Words = tuple[str, ...]

TOKEN = re.compile(
    r"""
      (?P<blank>(?:[ \t\r]|\\\n)+)
    | (?P<redirection>\d*(?:<<<|<<-?|<&|<>|>>|>&|>\||<|>)|&>>?)
    | (?P<operator>[;&|()\n`]+)
    | \$?'(?P<single>[^']*)'
    | \$?"(?P<double>(?:\\.|[^"\\])*)"
    | \\(?P<escaped>.)
    | (?P<plain>[^\s'"\\;&|()<>`]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
IN_DOUBLE_QUOTES = re.compile(r"\\([$`\"\\])")
SUBSTITUTION = re.compile(r"\$\(|`")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
BEFORE_A_COMMAND = frozenset(
    "! { } case coproc do done elif else esac fi for function if then time until while".split()  # noqa: SIM905
)
SHELLS = frozenset(("ash", "bash", "dash", "ksh", "sh", "zsh"))
# Programs that run the rest of their words, after options of their own.
RUNNERS = frozenset(
    """
    busybox builtin chroot command doas env exec flock ionice nice nohup npx parallel pipenv poetry script setsid
    stdbuf strace sudo taskset time timeout unshare uv watch xargs
    """.split()  # noqa: SIM905  a list would be one name a line
)
FINDS = frozenset(("-exec", "-execdir", "-ok", "-okdir"))
MAX_OPTIONS = 16


def visible_commands(line: str) -> tuple[Words, ...]:
    """Return each command of a line as words, with its program's name first and without a path.

    Raises `ToolError` (`invalid_params`) if there are too many.
    """
    found: dict[Words, None] = {}
    pending: list[Words] = list(_simple(line))
    while pending:
        words = pending.pop(0)
        if words in found:
            continue
        if len(found) >= MAX_SHELL_PROGRAMS:
            raise ToolError(
                f"The line runs more than {MAX_SHELL_PROGRAMS} programs: write a script, and run it.",
                code="invalid_params",
            )
        found[words] = None
        pending.extend(_within(words))
    return tuple(found)


def commands_of(words: Sequence[str]) -> tuple[Words, ...]:
    """Return the commands that an argv runs, as `visible_commands` does for a line."""
    return visible_commands(" ".join("'" + word.replace("'", "'\\''") + "'" for word in words))


def _within(words: Words) -> Iterator[Words]:
    """Yield the commands that a command runs by its words."""
    name, rest = words[0], words[1:]
    if "/" in name.rstrip("/"):
        yield (name.rstrip("/").rpartition("/")[2], *rest)
    if name in BEFORE_A_COMMAND or ASSIGNMENT.match(name):
        yield from ((rest,) if rest else ())
    elif name == "find":
        yield from (rest[at + 1 :] for at, word in enumerate(rest[:-1]) if word in FINDS)
    elif name in RUNNERS:
        # Which of the words are options is not known here, so each of the first ones may be the program.
        first = next((at for at, word in enumerate(rest) if not ASSIGNMENT.match(word)), 0)
        yield from (rest[at:] for at in range(first, min(len(rest), first + MAX_OPTIONS)) if rest[at][:1] != "-")
    elif name == "eval":
        yield from _simple(" ".join(rest))
    elif name in SHELLS:
        for at, word in enumerate(rest[:-1]):
            if re.fullmatch(r"-[a-z]*c[a-z]*", word):
                yield from _simple(next((text for text in rest[at + 1 :] if not text.startswith("-")), ""))


def _simple(line: str) -> Iterator[Words]:
    """Yield the simple commands of a line."""
    words: list[str] = []
    pieces: list[str] | None = None
    is_target = False
    for token in TOKEN.finditer(line + "\n"):
        kind = token.lastgroup
        if kind not in {"blank", "redirection", "operator"}:
            pieces = [*(pieces or ()), _plain(token)]
            if kind == "double" and (start := SUBSTITUTION.search(token["double"])):
                yield from _simple(
                    re.sub(r"\$\(|[`)]", "\n", IN_DOUBLE_QUOTES.sub(r"\1", token["double"][start.start() :]))
                )
            continue
        if pieces is not None and not is_target:
            words.append("".join(pieces))
        is_target = kind == "redirection" or (is_target and kind == "blank" and pieces is None)
        pieces = None
        if kind == "operator" and words:
            yield tuple(words)
            words = []


def _plain(token: re.Match[str]) -> str:
    """Return the text of a token without its quotes."""
    if token["double"] is not None:
        return IN_DOUBLE_QUOTES.sub(r"\1", token["double"])
    return next(token[kind] for kind in ("single", "escaped", "plain") if token[kind] is not None)
