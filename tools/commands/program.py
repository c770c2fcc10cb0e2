"""What a program may be given: its options by a positive list, and what its other words mean.

Options are written as manuals write them, with blanks between: `-l` stands alone, `-n=NUMBER` and `--lines=NUMBER` take
a value (also as `-n5`, `-n 5`, `--lines 5`), `--color[=WORD]` may have one attached. The word in capitals says what the
value is, and so how it is checked.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

Value = Literal["NUMBER", "WORD", "TEXT", "GLOB", "PATH", "REVISION"]
"""NUMBER: digits, with a sign or a unit. WORD: a choice or a plain setting. TEXT: anything, and never a file's name.
GLOB: a pattern of names. PATH: a file or folder. REVISION: what git takes for a commit, a range, or a path in one."""

Operands = Literal["none", "paths", "pattern, paths", "tests", "revisions, paths", "patterns", "expression", "text"]
"""What the words beside the options are. `pattern, paths`: the first is a pattern, unless an option gave one.
`tests`: paths that may go on with `::name`. `expression`: find's own grammar. `text`: nothing is looked at."""

NOTATION = re.compile(r"(?P<name>--?[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[A-Z]+)|\[=(?P<optional>[A-Z]+)\])?")
VALID = "write an option as -l, -n=NUMBER, --long, --long=WORD or --long[=WORD]"


ALWAYS = ("",)
"""For `shows_content`: whatever the options are."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option. `value` is what it takes, if anything; an `optional` one only attached."""

    name: str
    value: Value | None = None
    optional: bool = False

    @property
    def notation(self) -> str:
        """As the table writes it."""
        if self.value is None:
            return self.name
        return f"{self.name}[={self.value}]" if self.optional else f"{self.name}={self.value}"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program, or one of git's commands.

    `any_option`: the list does not bind it. `number` is the option that `-5` stands for. `pattern_options` give what
    else the first operand is. `max_operands` bounds them; they need one of `operands_with`, if there are any.
    `fixed` are arguments that it always has, first; `environment` adds to what it finds there. `shows_content` are the
    options that make git show what files held: then secrets are taken out by their names.
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
    def told(self) -> str:
        """The options, as a message lists them."""
        if self.any_option:
            return "any option"
        return " ".join(option.notation for option in self.options.values()) or "no option"


def options(*texts: str) -> Mapping[str, Option]:
    """The options of the texts, by name. Raises `ValueError` with the valid form."""
    return {option.name: option for text in texts for option in map(_option, text.split())}


def named(names: Iterable[str]) -> Mapping[str, Option]:
    """The options of the words, by name. Raises `ValueError` with the valid form."""
    return {option.name: option for option in map(_option, names)}


def _option(text: str) -> Option:
    found = NOTATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no option: {VALID}.")
    value: Any = found["value"] or found["optional"]
    if value is not None and value not in get_args(Value):
        raise ValueError(f"{text!r} has no known kind of value: {VALID}, with {', '.join(get_args(Value))}.")
    return Option(name=found["name"], value=value, optional=found["optional"] is not None)
