"""The profiles of `terminal.exec`: how much of the machine a command may use. The sandbox is the same in each.

- `read`: the programs and options of the table
- `develop`: also interpreters, build, test and text programs, with any option, and the project's own programs
- `shell`: a command is a line of a POSIX shell
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from tools.base import ToolError
from tools.commands.checking import Checked, check
from tools.commands.limits import MAX_COMMAND_CHARS
from tools.commands.operands import Ground
from tools.commands.program import Program
from tools.commands.shell import visible_commands
from tools.commands.splitting import split
from tools.commands.whitelist import WHITELIST
from tools.commands.words import check_text

Profile = Literal["read", "develop", "shell"]

LINE: Final = "a line of a shell"
"""The name of commands that a shell runs."""

INTERPRETERS = "bash bun deno java lua node perl php python python3 ruby sh"
BUILDERS = """
    ar c++ cargo cc clang clang++ cmake dotnet g++ gcc go gradle javac ld make mvn ninja nm npm npx objdump pip
    pkg-config pnpm rustc rustfmt tsc uv yarn
"""
TESTERS = "coverage eslint gofmt jest mocha mypy nox prettier pyright pytest ruff tox vitest"
TEXT = """
    awk base64 basename bc cat cmp column comm cp cut date diff dirname du echo env expand expr false file find fmt fold
    gawk grep gunzip gzip head hexdump id jq join ln ls md5sum mkdir mktemp mv nl nproc od paste patch printf pwd
    readlink realpath rev rg rm rmdir sed seq sha1sum sha256sum shuf sleep sort split stat strings tac tail tar tee test
    timeout touch tr tree true tsort uname unexpand uniq unzip wc which xargs xxd yq zcat zip
"""


def _free(name: str) -> Program:
    """Return the entry of a program with any words: with an interpreter at hand, a list of options confines nothing."""
    # The sandbox hides git's own folder: without these, a recursive search would report errors for it.
    fixed = WHITELIST[name].fixed if name in {"grep", "rg"} else ()
    return Program(any_option=True, operands="text", fixed=fixed)


DEVELOP: Final[Mapping[str, Program]] = MappingProxyType(
    {name: _free(name) for name in sorted(" ".join((INTERPRETERS, BUILDERS, TESTERS, TEXT)).split())}
)
"""The programs that `develop` and `shell` add to the table, or free from its options."""


def table_of(profile: Profile, whitelist: Mapping[str, Program]) -> Mapping[str, Program]:
    """Return the programs that a profile may run by name."""
    return whitelist if profile == "read" else {**whitelist, **DEVELOP}


def check_line(command: str, table: Mapping[str, Program], ground: Ground) -> Checked:
    """Return a line as the operands of a shell. Raises `ToolError`."""
    check_text(command)
    if not command.strip() or len(command) > MAX_COMMAND_CHARS:
        raise ToolError(
            f"The command has {len(command)} characters: give 1 to {MAX_COMMAND_CHARS}.", code="invalid_params"
        )
    if is_git_alone(command):
        return check(split(command), table, ground)
    visible_commands(command)
    return Checked(name=LINE, argv=("sh", "-c", command), environment={})


def is_git_alone(command: str) -> bool:
    """Return whether a line is one plain command of git, which gets git's own folder instead of a shell."""
    try:
        return split(command)[0] == "git"
    except ToolError:
        return False
