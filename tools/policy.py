"""The policy: rules that decide which executions may happen, by tool, source, params and taint.

The rules are separated by semicolons or line ends. Each has a decision, the name of a tool or of an effect, and any
conditions.

    ask fs.write source=model; deny fs.* path=secrets/*; allow terminal.exec "command=git status*"
    ask write when=tainted; allow web.fetch host=docs.example.org when=tainted:web

Names and values are shell patterns, in which `*` also matches slashes. The last rule that holds decides, except that no
later rule overrides a `deny`. A rule with a `path` is also asked about each file that a call reaches.

A rule with `when` is about tainted runs: those that have texts from outside in their conversation. In them a model
needs an approval for each call with the effect `network`, unless a rule with `when` allows it.
"""

import shlex
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal, get_args

import msgspec

from tools.base import Effect, Facets, Source, TaintSource

Decision = Literal["allow", "ask", "deny"]

SEPARATORS: Final = ";\n"
DECISIONS: Final = get_args(Decision)
EFFECTS: Final = get_args(Effect)
SOURCES: Final = get_args(Source)
TAINT_SOURCES: Final[tuple[TaintSource, ...]] = get_args(TaintSource)
STATES: Final[Mapping[str, tuple[TaintSource, ...]]] = {
    "tainted": TAINT_SOURCES,
    **{f"tainted:{source}": (source,) for source in TAINT_SOURCES},
}
"""The values of `when`, each with the sources of taint that it is about."""

FLAGS: Final[Mapping[str, str]] = {"True": "[Tt]rue", "False": "[Ff]alse"}
"""Patterns that hold for a flag, and for a text that is written like this."""

PATH: Final = "path"
NOTHING: Final[Facets] = {}
UNTAINTED: Final[frozenset[TaintSource]] = frozenset()
FILE_TOOLS: Final[Mapping[str, Effect]] = {"fs.read": "read", "fs.write": "write"}
"""The tools whose rules also apply to the files of other tools, with their effects."""


class PolicyInput(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one execution that rules test.

    `implied` are values that only a `deny` or an `ask` tests. `taint` has the sources of the texts from outside that
    the run's conversation holds.
    """

    tool: str
    effect: Effect
    source: Source
    facets: Facets = NOTHING
    implied: Facets = NOTHING
    taint: Collection[TaintSource] = UNTAINTED


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. It holds if its tool, its `source` and all of its `facets` match, and the taint of the run.

    `tool` is a pattern of names, or an effect: names have a dot, and effects none. `when` are the sources of taint.
    """

    decision: Decision
    tool: str
    source: Source | None = None
    when: tuple[TaintSource, ...] = ()
    facets: tuple[tuple[str, str], ...] = ()

    @property
    def has_path(self) -> bool:
        """True if the rule tests a path."""
        return any(name == PATH for name, _ in self.facets)

    def is_about(self, tool: str, effect: Effect) -> bool:
        """Return whether the rule names the tool or its effect."""
        return self.tool == effect or fnmatchcase(tool, self.tool)

    def holds(self, asked: PolicyInput) -> bool:
        """Return whether the rule applies to this execution."""
        if not self.is_about(asked.tool, asked.effect) or self.source not in {None, asked.source}:
            return False
        if self.when:
            # As with the values of a param, an `allow` must cover all sources, and one is enough for the others.
            every = all if self.decision == "allow" else any
            if not asked.taint or not every(one in self.when for one in asked.taint):
                return False
        for name, pattern in self.facets:
            # A param may have several values, such as the paths of a patch. An `allow` must cover all of them; one
            # that is forbidden, or that only follows from the params, is enough for a `deny` or an `ask`.
            values = asked.facets.get(name, ())
            matches = (fnmatchcase(_composed(value), _composed(pattern)) for value in values)
            if self.decision == "allow":
                matched = bool(values) and all(matches)
            else:
                matched = any(matches) or any(
                    fnmatchcase(_composed(value), _composed(pattern)) for value in asked.implied.get(name, ())
                )
            if not matched:
                return False
        return True


class Policy(msgspec.Struct, frozen=True):
    """The rules, and the default decisions without any."""

    rules: tuple[Rule, ...] = ()

    def decide(self, asked: PolicyInput) -> Decision:
        """Return the decision about one execution."""
        rules = [rule for rule in self.rules if rule.holds(asked)]
        # The workspace and the sandbox confine all other effects. A network call can cost money and send data out.
        is_outward = asked.effect == "network" and asked.source == "model"
        decision = _last(rules, "ask" if is_outward else "allow")
        if decision == "allow" and is_outward and asked.taint:
            # A text from outside can be an instruction to send data out. An `allow` that was not written with that in
            # mind does not answer it.
            return _last([rule for rule in rules if rule.when], "ask")
        return decision

    def decide_path(self, tools: Mapping[str, Effect], asked: PolicyInput) -> Decision:
        """Return the strictest decision about the paths of a call, as a call of any of the tools.

        The call itself is decided already, so rules that ask or deny without a path are left out.
        """
        rules = [rule for rule in self.rules if rule.decision == "allow" or rule.has_path]
        as_each = [msgspec.structs.replace(asked, tool=tool, effect=effect) for tool, effect in tools.items()]
        decisions = {_last((rule for rule in rules if rule.holds(one)), "allow") for one in as_each}
        return max(decisions, key=DECISIONS.index)

    def has_paths_for(self, tools: Mapping[str, Effect]) -> bool:
        """Return whether any rule asks about or denies paths of the tools."""
        return any(
            rule.has_path and rule.decision != "allow" and any(rule.is_about(*tool) for tool in tools.items())
            for rule in self.rules
        )


def stricter(one: Decision, other: Decision) -> Decision:
    """Return the stricter of two decisions."""
    return max(one, other, key=DECISIONS.index)


def _last(holding: Iterable[Rule], default: Decision) -> Decision:
    """Return the decision of the last of the rules that hold, or of the first `deny`."""
    decision = default
    for rule in holding:
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
        raise ValueError(
            f"a rule is one of {', '.join(DECISIONS)}, the name of a tool or one of {', '.join(EFFECTS)}, and "
            f"conditions, unlike {text!r}"
        )
    decision, tool, *conditions = words
    source: Source | None = None
    when: tuple[TaintSource, ...] = ()
    facets: list[tuple[str, str]] = []
    for condition in conditions:
        name, equals, pattern = condition.partition("=")
        if not name or not equals:
            raise ValueError(f"a condition is a param's name, = and a pattern, unlike {condition!r} in {text!r}")
        if name not in {"when", "source"}:
            facets.append((name, FLAGS.get(pattern, pattern)))
        elif name == "when" and pattern in STATES:
            when = STATES[pattern]
        elif name == "source" and pattern in SOURCES:
            source = msgspec.convert(pattern, Source)
        else:
            valid = SOURCES if name == "source" else STATES
            raise ValueError(f"{name} is one of {', '.join(valid)}, unlike {condition!r} in {text!r}")
    if when and source is None:
        # A text from outside can mislead a model. A caller knows what it asks for.
        source = "model"
    return Rule(decision=msgspec.convert(decision, Decision), tool=tool, source=source, when=when, facets=tuple(facets))
