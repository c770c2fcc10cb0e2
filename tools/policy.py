"""The policy: rules that decide which executions may happen, by tool, source and params.

The rules are separated by semicolons or line ends. Each has a decision, a tool's name, and any conditions.

    ask fs.write source=model; deny fs.* path=secrets/*; allow terminal.exec "command=git status*"

Names and values are shell patterns, in which `*` also matches slashes. The last rule that holds decides, except that no
later rule overrides a `deny`. A rule with a `path` is also asked about each file that a call reaches.
"""

import shlex
import unicodedata
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final, Literal, get_args

import msgspec

from tools.base import Effect, Facets, Source

Decision = Literal["allow", "ask", "deny"]

SEPARATORS: Final = ";\n"
DECISIONS: Final = get_args(Decision)
SOURCES: Final = get_args(Source)
PATH: Final = "path"
NOTHING: Final[Facets] = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. It holds if its tool, its `source` and all of its `facets` match."""

    decision: Decision
    tool: str
    source: Source | None = None
    facets: tuple[tuple[str, str], ...] = ()

    @property
    def has_path(self) -> bool:
        """True if the rule tests a path."""
        return any(name == PATH for name, _ in self.facets)

    def holds(self, tool: str, source: Source, facets: Facets, implied: Facets = NOTHING) -> bool:
        """Return whether the rule applies to this execution."""
        if not fnmatchcase(tool, self.tool) or self.source not in {None, source}:
            return False
        for name, pattern in self.facets:
            # A param may have several values, such as the paths of a patch. An `allow` must cover all of them; one
            # that is forbidden, or that only follows from the params, is enough for a `deny` or an `ask`.
            values = facets.get(name, ())
            matches = (fnmatchcase(_composed(value), _composed(pattern)) for value in values)
            if self.decision == "allow":
                matched = bool(values) and all(matches)
            else:
                matched = any(matches) or any(
                    fnmatchcase(_composed(value), _composed(pattern)) for value in implied.get(name, ())
                )
            if not matched:
                return False
        return True


class Policy(msgspec.Struct, frozen=True):
    """The rules, and the default decisions without any."""

    rules: tuple[Rule, ...] = ()

    def decide(self, tool: str, effect: Effect, source: Source, facets: Facets, implied: Facets = NOTHING) -> Decision:
        """Return the decision about one execution. `implied` are values that only a `deny` or an `ask` tests."""
        # The workspace and the sandbox confine all other effects. A network call can cost money and send data out.
        default: Decision = "ask" if effect == "network" and source == "model" else "allow"
        return _last(self.rules, default, tool, source, facets=facets, implied=implied)

    def decide_path(self, tools: Iterable[str], source: Source, facets: Facets, implied: Facets = NOTHING) -> Decision:
        """Return the strictest decision about the paths of a call, as a call of any of the tools.

        The call itself is decided already, so rules that ask or deny without a path are left out.
        """
        rules = [rule for rule in self.rules if rule.decision == "allow" or rule.has_path]
        decisions = {_last(rules, "allow", tool, source, facets=facets, implied=implied) for tool in tools}
        return max(decisions, key=DECISIONS.index)

    def has_paths_for(self, tools: Iterable[str]) -> bool:
        """Return whether any rule asks about or denies paths of the tools."""
        names = tuple(tools)
        return any(
            rule.has_path and rule.decision != "allow" and any(fnmatchcase(tool, rule.tool) for tool in names)
            for rule in self.rules
        )


def stricter(one: Decision, other: Decision) -> Decision:
    """Return the stricter of two decisions."""
    return max(one, other, key=DECISIONS.index)


def _last(
    rules: Iterable[Rule], default: Decision, tool: str, source: Source, *, facets: Facets, implied: Facets
) -> Decision:
    """Return the decision of the last rule that holds, or of the first `deny`."""
    decision = default
    for rule in rules:
        if rule.holds(tool, source, facets, implied):
            if rule.decision == "deny":
                return "deny"
            decision = rule.decision
    return decision


def _composed(text: str) -> str:
    """Return the text in the composed form of Unicode (NFC), in which a rule and a name of a file are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def parse(text: str) -> Policy:
    """Parse a policy. Raises `ValueError`, which names the rule and what would be valid."""
    return Policy(tuple(_rule(words) for words in _rules(text)))


def _rules(text: str) -> Iterator[list[str]]:
    """Yield the words of each rule."""
    # Line ends separate rules, so they must come out as words and not be skipped as white space. A `#` may stand in a
    # pattern, so nothing is a comment.
    lexer = shlex.shlex(text, posix=True, punctuation_chars=SEPARATORS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in lexer:
            if word.strip(SEPARATORS):
                words.append(word)
            elif words:
                yield words
                words = []
    except ValueError as error:
        raise ValueError(f"a quotation is not closed ({error})") from error
    if words:
        yield words


def _rule(words: list[str]) -> Rule:
    text = " ".join(words)
    if len(words) == 1 or words[0] not in DECISIONS:
        raise ValueError(f"a rule is one of {', '.join(DECISIONS)}, a tool's name and conditions, unlike {text!r}")
    decision, tool, *conditions = words
    source: Source | None = None
    facets: list[tuple[str, str]] = []
    for condition in conditions:
        name, equals, pattern = condition.partition("=")
        if not name or not equals:
            raise ValueError(f"a condition is a param's name, = and a pattern, unlike {condition!r} in {text!r}")
        if name != "source":
            facets.append((name, pattern))
        elif pattern in SOURCES:
            source = msgspec.convert(pattern, Source)
        else:
            raise ValueError(f"source is one of {', '.join(SOURCES)}, unlike {condition!r} in {text!r}")
    return Rule(decision=msgspec.convert(decision, Decision), tool=tool, source=source, facets=tuple(facets))
