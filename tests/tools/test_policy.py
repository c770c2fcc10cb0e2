"""Decisions and syntax of a policy's rules."""

import re

import pytest

from tools.base import Effect, Facets, Source
from tools.policy import parse

NOTHING: Facets = {}


@pytest.mark.parametrize(
    ("effect", "source", "decision"),
    [
        *((effect, source, "allow") for effect in ("read", "write", "execute") for source in ("caller", "model")),
        ("network", "caller", "allow"),
        ("network", "model", "ask"),
    ],
)
def test_without_rules_only_outward_effects_ask(effect: Effect, source: Source, decision: str) -> None:
    assert parse("").decide("a.b", effect, source, NOTHING) == decision


@pytest.mark.parametrize(
    ("rules", "tool", "source", "facets", "decision"),
    [
        ("ask fs.write", "fs.write", "model", {}, "ask"),
        ("ask fs.write", "fs.read", "model", {}, "allow"),
        ("ask fs.*", "fs.read", "caller", {}, "ask"),
        ("ask fs.* source=model", "fs.read", "caller", {}, "allow"),
        ("ask fs.* source=model", "fs.read", "model", {}, "ask"),
        ("ask *; allow fs.read", "fs.read", "model", {}, "allow"),
        ("allow fs.read; ask *", "fs.read", "model", {}, "ask"),
        ("deny fs.*; allow fs.read", "fs.read", "model", {}, "deny"),
        ("allow fs.read\ndeny fs.*", "fs.read", "model", {}, "deny"),
        ("deny fs.* path=secrets/*", "fs.read", "model", {"path": ["secrets/a"]}, "deny"),
        ("deny fs.* path=secrets/*", "fs.read", "model", {"path": ["public/a"]}, "allow"),
        ("deny fs.* path=secrets/*", "fs.read", "model", {}, "allow"),
        ("deny fs.apply_patch path=s/*", "fs.apply_patch", "model", {"path": ["a", "s/b"]}, "deny"),
        ("ask *; allow fs.apply_patch path=a/*", "fs.apply_patch", "model", {"path": ["a/x", "b"]}, "ask"),
        ("ask *; allow fs.apply_patch path=a/*", "fs.apply_patch", "model", {"path": ["a/x", "a/y"]}, "allow"),
        ('deny terminal.exec "command=git log*"', "terminal.exec", "model", {"command": ["git log -3"]}, "deny"),
        ("deny a.b x=1 y=2", "a.b", "model", {"x": ["1"], "y": ["3"]}, "allow"),
    ],
)
def test_last_matching_rule_decides_except_after_a_deny(
    rules: str, tool: str, source: Source, facets: Facets, decision: str
) -> None:
    assert parse(rules).decide(tool, "write", source, facets) == decision


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ask", "a rule is one of allow, ask, deny, a tool's name"),
        ("forbid fs.write", "unlike 'forbid fs.write'"),
        ("deny fs.* path", "a condition is a param's name, = and a pattern, unlike 'path'"),
        ("deny fs.* =x", "unlike '=x'"),
        ("deny fs.* source=me", "source is one of caller, model"),
        ('deny "fs.*', "a quotation is not closed"),
    ],
)
def test_invalid_policy_is_rejected_with_the_valid_form(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse(text)
