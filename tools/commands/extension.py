"""The setting that extends the table: `jq; make:-j[=NUMBER],-k,--dry-run; node:*`.

Entries are separated by semicolons. An entry without a colon allows no option. After a colon follow the options,
separated by commas and written as in the table (see `program`), or `*` for any option. `git NAME` is one of git's
commands. An entry replaces the table's own. Operands are checked as paths.
"""

import re
from collections.abc import Mapping

from tools.commands.limits import MAX_WHITELIST_CHARS
from tools.commands.program import Operands, Program, named

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*( [a-z][a-z-]*)*")
VALID = "write entries as 'jq; make:-j[=NUMBER],-k,--dry-run; node:*', separated by semicolons"


def extended(table: Mapping[str, Program], text: str) -> Mapping[str, Program]:
    """Return the table with the entries of a text. Raises `ValueError`, whose message shows the valid form."""
    if len(text) > MAX_WHITELIST_CHARS:
        raise ValueError(f"The list has {len(text)} characters: the maximum is {MAX_WHITELIST_CHARS}.")
    added: dict[str, Program] = {}
    for entry in filter(None, (piece.strip() for piece in re.split(r"[;\n]", text))):
        name, program = _entry(entry)
        if name in added:
            raise ValueError(f"{name!r} is listed twice: {VALID}.")
        added[name] = program
    return {**table, **added}


def _entry(entry: str) -> tuple[str, Program]:
    name, colon, listed = (part.strip() for part in entry.partition(":"))
    if not NAME.fullmatch(name) or (" " in name and not name.startswith("git ")):
        raise ValueError(f"{name!r} is not the name of a program: {VALID}.")
    # An entry for all of git would also allow its commands that write or run programs.
    if name == "git":
        raise ValueError("'git' is extended by its commands: write 'git NAME:...', such as 'git cat-file:-t'.")
    operands: Operands = "revisions, paths" if name.startswith("git ") else "paths"
    if listed == "*":
        return name, Program(any_option=True, operands=operands)
    words = [word.strip() for word in listed.split(",")] if colon else []
    if "" in words:
        raise ValueError(f"{entry!r} has an empty option: {VALID}.")
    return name, Program(options=named(words), operands=operands)
