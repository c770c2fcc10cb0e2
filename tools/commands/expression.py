"""The grammar of find: folders to start from, then tests and actions, each with its arguments.

Source: find(1) of GNU findutils 4.9.
"""

from collections.abc import Sequence

from tools.base import ToolError
from tools.commands.operands import Ground
from tools.commands.program import Program
from tools.commands.words import shown

OPERATORS = frozenset({"(", ")", "!", ","})


def check_expression(name: str, words: Sequence[str], program: Program, ground: Ground) -> tuple[str, ...]:
    """Return the words unchanged. Raises `ToolError`: `not_allowed`, `outside_workspace`, `invalid_params`."""
    # Each allowed word takes a fixed number of arguments, so this reads an expression exactly as find does.
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word in OPERATORS:
            continue
        if not word.startswith("-"):
            ground.check_path(word)
            continue
        option = program.options.get(word)
        if option is None:
            raise ToolError(
                f"{shown(word)} is not among the options of {name} here: {program.notations}.", code="not_allowed"
            )
        if option.value is not None:
            if not pending:
                raise ToolError(f"{word} of {name} takes a value: write '{word} VALUE'.", code="invalid_params")
            ground.check_value(option.value, pending.pop(0), word)
    return tuple(words)
