"""The setting that extends the table: `jq; make:-j[=NUMBER],-k,--dry-run; node:*`.

Entries are divided by semicolons. A name alone may have no option; after a colon its options follow, divided by commas
and written as the table writes them (see `program`), or `*` for any. `git NAME` is one of git's commands. An entry
takes the place of the table's own. Operands are taken for paths.
"""

import re
from collections.abc import Mapping

from tools.commands.limits import MAX_WHITELIST_CHARS
from tools.commands.program import Operands, Program, named

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*( [a-z][a-z-]*)*")
VALID = "write entries as 'jq; make:-j[=NUMBER],-k,--dry-run; node:*', divided by semicolons"


def extended(table: Mapping[str, Program], text: str) -> Mapping[str, Program]:
    """The table with the text's entries. Raises `ValueError` with a sentence that names the valid form."""
    if len(text) > MAX_WHITELIST_CHARS:
        raise ValueError(f"The list is {len(text)} characters long: at most {MAX_WHITELIST_CHARS} are possible.")
    added: dict[str, Program] = {}
    for entry in filter(None, (piece.strip() for piece in re.split(r"[;\n]", text))):
        name, program = _entry(entry)
        if name in added:
            raise ValueError(f"{name!r} is there twice: {VALID}.")
        added[name] = program
    return {**table, **added}


def _entry(entry: str) -> tuple[str, Program]:
    name, colon, listed = (part.strip() for part in entry.partition(":"))
    if not NAME.fullmatch(name) or (" " in name and not name.startswith("git ")):
        raise ValueError(f"{name!r} is no program's name: {VALID}.")
    if name == "git":
        raise ValueError("'git' is extended by its commands: write 'git NAME:...', such as 'git cat-file:-t,-p'.")
    operands: Operands = "revisions, paths" if name.startswith("git ") else "paths"
    if listed == "*":
        return name, Program(any_option=True, operands=operands)
    words = [word.strip() for word in listed.split(",")] if colon else []
    if "" in words:
        raise ValueError(f"{entry!r} has an empty option: {VALID}.")
    return name, Program(options=named(words), operands=operands)
