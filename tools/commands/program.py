"""The entries of the table: a program's allowed options, and the meaning of its operands.

Options are written as in manuals, separated by blanks. The word in capitals is the kind of the value, which decides how
it is checked.

- `-l` takes no value.
- `-n=NUMBER` and `--lines=NUMBER` take a value, also as `-n5`, `-n 5` and `--lines 5`.
- `--color[=WORD]` may have a value, with `=` only.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

Value = Literal["NUMBER", "WORD", "TEXT", "FIELDS", "GLOB", "PATH", "REVISION"]
"""The kind of an option's value.

- NUMBER: digits, with a sign or a unit
- WORD: a choice or a plain setting
- TEXT: any text that is never the name of a file
- FIELDS: the fields of git's references, except `raw`, which is the content of the object
- GLOB: a pattern of names
- PATH: a file or folder
- REVISION: a commit, a range, or a path in a commit, as git writes it
"""

Operands = Literal["none", "paths", "pattern, paths", "tests", "revisions, paths", "patterns", "expression", "text"]
"""The meaning of a program's operands.

- `pattern, paths`: the first is a pattern, unless an option gave one
- `tests`: paths, with an optional `::name`
- `expression`: the grammar of find
- `text`: any text; nothing is checked
"""

NOTATION = re.compile(r"(?P<name>--?[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[A-Z]+)|\[=(?P<optional>[A-Z]+)\])?")
VALID = "write an option as -l, -n=NUMBER, --long, --long=WORD or --long[=WORD]"


ALWAYS = ("",)
"""A value of `shows_content`: with any options."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """An option. `value` is the kind of its value; None if it takes none. An `optional` value needs a `=`."""

    name: str
    value: Value | None = None
    optional: bool = False

    @property
    def notation(self) -> str:
        """The option as the table writes it."""
        if self.value is None:
            return self.name
        return f"{self.name}[={self.value}]" if self.optional else f"{self.name}={self.value}"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program, or one of git's commands.

    - `any_option`: options are not limited to the list
    - `max_operands`: the maximum number of operands
    - `operands_with`: operands are allowed only with one of these options
    - `pattern_options`: with one of these, the first operand is not a pattern
    - `shows_content`: with one of these, git shows the content of files, and secrets must be left out
    - `number`: the option that `-5` stands for
    - `fixed`: arguments that always come first
    - `environment`: additional environment variables
    """

    options: Mapping[str, Option] = {}
    any_option: bool = False
    operands: Operands = "paths"
    max_operands: int | None = None
    operands_with: tuple[str, ...] = ()
    pattern_options: tuple[str, ...] = ()
    shows_content: tuple[str, ...] = ()
    number: str = ""
    fixed: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}

    @property
    def notations(self) -> str:
        """The options as a message lists them."""
        if self.any_option:
            return "any option"
        return " ".join(option.notation for option in self.options.values()) or "no option"


def options(*texts: str) -> Mapping[str, Option]:
    """Return the options of the texts, by name. Raises `ValueError`, whose message shows the valid form."""
    return {option.name: option for text in texts for option in map(_option, text.split())}


def named(names: Iterable[str]) -> Mapping[str, Option]:
    """Return the options of the words, by name. Raises `ValueError`, whose message shows the valid form."""
    return {option.name: option for option in map(_option, names)}


def _option(text: str) -> Option:
    found = NOTATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an option: {VALID}.")
    value: Any = found["value"] or found["optional"]
    if value is not None and value not in get_args(Value):
        raise ValueError(f"{text!r} has no known kind of value: {VALID}, with {', '.join(get_args(Value))}.")
    return Option(name=found["name"], value=value, optional=found["optional"] is not None)
