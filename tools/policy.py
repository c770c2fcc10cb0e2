"""Which executions may happen: rules over the tool, who asks for it, and what is asked.

A policy is written as rules between semicolons or line ends: a decision, a tool's name, and what else must hold.

    ask fs.write source=model; deny fs.* path=secrets/*; allow terminal.exec "command=git status*"

Names and values are shell patterns, in which `*` also matches slashes. The last rule that holds decides, but for a
`deny`, which no later rule takes back. Rules look at names: what a link leads to is the workspace's matter.
"""

import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final, Literal, get_args

import msgspec

from tools.base import Effect, Facets, Source

Decision = Literal["allow", "ask", "deny"]

SEPARATORS: Final = ";\n"
DECISIONS: Final = get_args(Decision)
SOURCES: Final = get_args(Source)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: `source` and each of the `facets` must hold, where they are given."""

    decision: Decision
    tool: str
    source: Source | None = None
    facets: tuple[tuple[str, str], ...] = ()

    def holds(self, tool: str, source: Source, facets: Facets) -> bool:
        """Whether it is about this. What it allows must be all that is asked; what it forbids, any of it."""
        if not fnmatchcase(tool, self.tool) or self.source not in {None, source}:
            return False
        every = all if self.decision == "allow" else any
        return all(
            bool(values := facets.get(name, ())) and every(fnmatchcase(value, pattern) for value in values)
            for name, pattern in self.facets
        )


class Policy(msgspec.Struct, frozen=True):
    """Rules, over what holds without any."""

    rules: tuple[Rule, ...] = ()

    def decide(self, tool: str, effect: Effect, source: Source, facets: Facets) -> Decision:
        """What may happen with one execution."""
        decision = _default(effect, source)
        for rule in self.rules:
            if rule.holds(tool, source, facets):
                if rule.decision == "deny":
                    return "deny"
                decision = rule.decision
        return decision


def parse(text: str) -> Policy:
    """The policy that the text says. Raises `ValueError`, which names the rule and what would be valid."""
    return Policy(tuple(_rule(words) for words in _rules(text)))


def _default(effect: Effect, source: Source) -> Decision:
    """What the workspace or the sandbox confines is allowed; what reaches outward asks when a model wants it."""
    return "ask" if effect == "network" and source == "model" else "allow"


def _rules(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=SEPARATORS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in _words(lexer):
        if word.strip(SEPARATORS):
            words.append(word)
        elif words:
            yield words
            words = []
    if words:
        yield words


def _words(lexer: shlex.shlex) -> Iterator[str]:
    try:
        yield from lexer
    except ValueError as error:
        raise ValueError(f"a quotation is not closed ({error})") from error


def _rule(words: list[str]) -> Rule:
    told = " ".join(words)
    if len(words) == 1 or words[0] not in DECISIONS:
        raise ValueError(f"a rule is one of {', '.join(DECISIONS)}, a tool's name and conditions, unlike {told!r}")
    decision, tool, *conditions = words
    source: Source | None = None
    facets: list[tuple[str, str]] = []
    for condition in conditions:
        name, equals, pattern = condition.partition("=")
        if not name or not equals:
            raise ValueError(f"a condition is a param's name, = and a pattern, unlike {condition!r} in {told!r}")
        if name != "source":
            facets.append((name, pattern))
        elif pattern in SOURCES:
            source = msgspec.convert(pattern, Source)
        else:
            raise ValueError(f"source is one of {', '.join(SOURCES)}, unlike {condition!r} in {told!r}")
    return Rule(decision=msgspec.convert(decision, Decision), tool=tool, source=source, facets=tuple(facets))
