"""Decisions and syntax of a policy's rules."""

import re
from typing import Any

import msgspec
import pytest

from tools.base import Effect, Facets, JsonParams, Source, TaintSource, json_facets, json_implied
from tools.policy import PolicyInput, parse

TOOLS: dict[str, Effect] = {"git.create_pr": "network", "fs.read": "read"}


@pytest.mark.parametrize(
    ("effect", "source", "decision"),
    [
        *((effect, source, "allow") for effect in ("read", "write", "execute") for source in ("caller", "model")),
        ("network", "caller", "allow"),
        ("network", "model", "ask"),
    ],
)
def test_without_rules_only_outward_effects_ask(effect: Effect, source: Source, decision: str) -> None:
    assert parse("").decide(PolicyInput(tool="a.b", effect=effect, source=source)) == decision


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
    assert parse(rules).decide(PolicyInput(tool=tool, effect="write", source=source, facets=facets)) == decision


@pytest.mark.parametrize(
    ("rules", "effect", "decision"),
    [
        ("ask write", "write", "ask"),
        ("ask write", "read", "allow"),
        ("allow network", "network", "allow"),
        ("deny execute", "execute", "deny"),
        ("ask write; allow a.*", "write", "allow"),
        # A pattern is about names, so this is about no effect.
        ("deny writ*", "write", "allow"),
    ],
)
def test_rule_may_name_an_effect(rules: str, effect: Effect, decision: str) -> None:
    assert parse(rules).decide(PolicyInput(tool="a.b", effect=effect, source="model")) == decision


@pytest.mark.parametrize(
    ("rules", "taint", "decision"),
    [
        ("", ["web"], "ask"),
        ("allow web.fetch", [], "allow"),
        ("allow web.fetch", ["web"], "ask"),
        ("allow *", ["mcp"], "ask"),
        ("allow network", ["attachment"], "ask"),
        ("allow web.fetch source=model", ["repository"], "ask"),
        ("allow web.fetch when=tainted", ["web", "mcp"], "allow"),
        ("allow web.fetch when=tainted", [], "ask"),
        ("allow web.fetch when=tainted; allow web.fetch", ["web"], "allow"),
        ("allow web.fetch when=tainted; ask web.fetch", ["web"], "ask"),
        ("ask network when=tainted; allow web.fetch", ["web"], "ask"),
        ("deny network when=tainted; allow web.fetch when=tainted", ["web"], "deny"),
        ("deny network when=tainted", [], "ask"),
        ("deny web.fetch when=tainted:mcp", ["web"], "ask"),
        ("deny web.fetch when=tainted:mcp", ["web", "mcp"], "deny"),
        # An `allow` must cover every source.
        ("allow web.fetch when=tainted:web", ["web"], "allow"),
        ("allow web.fetch when=tainted:web", ["web", "mcp"], "ask"),
        ("allow web.fetch when=tainted; ask web.fetch when=tainted:mcp", ["web"], "allow"),
        ("allow web.fetch when=tainted; ask web.fetch when=tainted:mcp", ["web", "mcp"], "ask"),
        ("allow web.fetch when=tainted x=1", ["web"], "ask"),
    ],
)
def test_outward_call_of_a_tainted_run_needs_a_rule_about_taint(
    rules: str, taint: list[TaintSource], decision: str
) -> None:
    assert (
        parse(rules).decide(
            PolicyInput(tool="web.fetch", effect="network", source="model", facets={"x": ["2"]}, taint=taint)
        )
        == decision
    )


def test_rule_about_taint_holds_for_other_effects_too() -> None:
    policy = parse("ask write when=tainted; deny fs.read path=plans/* when=tainted:web")
    assert policy.decide(PolicyInput(tool="fs.write", effect="write", source="model", taint=["mcp"])) == "ask"
    assert policy.decide(PolicyInput(tool="fs.write", effect="write", source="model")) == "allow"
    plans = PolicyInput(tool="fs.search", effect="read", source="model", facets={"path": ["plans/a"]})
    assert policy.decide_path({"fs.read": "read"}, msgspec.structs.replace(plans, taint=["web"])) == "deny"
    assert policy.decide_path({"fs.read": "read"}, msgspec.structs.replace(plans, taint=["mcp"])) == "allow"


def test_taint_does_not_bind_a_caller_unless_a_rule_says_so() -> None:
    for rules, decision in (
        ("", "allow"),
        ("ask network when=tainted", "allow"),
        ("ask network when=tainted source=caller", "ask"),
    ):
        assert (
            parse(rules).decide(PolicyInput(tool="web.fetch", effect="network", source="caller", taint=["web"]))
            == decision
        )


@pytest.mark.parametrize("rule", ["deny read path=secrets/*", "deny fs.read path=secrets/*", "ask read path=secrets/*"])
def test_rule_about_an_effect_also_covers_the_files_of_a_call(rule: str) -> None:
    policy = parse(rule)
    assert policy.has_paths_for(TOOLS)
    for path, is_allowed in (("secrets/a", False), ("docs/a", True)):
        asked = PolicyInput(tool="git.create_pr", effect="network", source="caller", facets={"path": [path]})
        assert (policy.decide_path(TOOLS, asked) == "allow") == is_allowed


@pytest.mark.parametrize(
    ("rule", "given", "decision"),
    [
        ("deny a.b force=true", {"force": True}, "deny"),
        ("deny a.b force=True", {"force": True}, "deny"),
        ("deny a.b force=false", {"force": True}, "allow"),
        ("deny a.b force=False", {"force": False}, "deny"),
        ("deny a.b force=true", {"force": "true"}, "deny"),
        ("deny a.b force=True", {"force": "True"}, "deny"),
        ("ask a.b; allow a.b force=true", {"force": True}, "allow"),
        ("deny a.b amount=100", {"amount": 100.0}, "deny"),
        ("deny a.b amount=100", {"amount": [1, 1e2]}, "deny"),
        ("deny a.b amount=100", {"amount": {"of": [100.0]}}, "deny"),
        ("deny a.b amount=1.5", {"amount": 1.5}, "deny"),
        ("deny a.b amount=100", {"amount": 100.5}, "allow"),
        ("deny a.b body=secret*", {"body": {"of": {"secret-plan": 1}}}, "deny"),
    ],
)
def test_rule_about_a_value_holds_in_each_form_of_json(rule: str, given: dict[str, Any], decision: str) -> None:
    params = JsonParams(given)
    asked = PolicyInput(
        tool="a.b", effect="read", source="model", facets=json_facets(params), implied=json_implied(params)
    )
    assert parse(rule).decide(asked) == decision


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ask",
            "a rule is one of allow, ask, deny, the name of a tool or one of read, write, execute, network, and cond",
        ),
        ("forbid fs.write", "unlike 'forbid fs.write'"),
        ("deny fs.* path", "a condition is a param's name, = and a pattern, unlike 'path'"),
        ("deny fs.* =x", "unlike '=x'"),
        ("deny fs.* source=me", "source is one of caller, model"),
        (
            "ask network when=always",
            "when is one of tainted, tainted:web, tainted:mcp, tainted:attachment, tainted:rep",
        ),
        ("ask network when=tainted:", "unlike 'when=tainted:' in 'ask network when=tainted:'"),
        ("ask network when=tainted:email", "unlike 'when=tainted:email'"),
        ('deny "fs.*', "a quotation is not closed"),
    ],
)
def test_invalid_policy_is_rejected_with_the_valid_form(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse(text)
