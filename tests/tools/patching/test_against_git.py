"""The engine against the real git: on the patches that git makes, and on damaged forms of them.

`PATCH_EXAMPLES` is the number of generated patches; the default is 80.
"""

import os
import re
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, assume, event, given, settings

from tests.tools.patching.edits import edited, trees
from tests.tools.patching.trees import Git, Tree, patched_by_us
from tools.base import ToolError
from tools.patching import parse

EXAMPLES = int(os.environ.get("PATCH_EXAMPLES", "80"))
generated = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

FORMS = st.fixed_dictionaries(
    {
        "context": st.integers(0, 5),
        "prefix": st.booleans(),
        "names": st.sampled_from([(), ("-M",), ("-M10%",), ("-C", "--find-copies-harder"), ("-B", "-M")]),
        "style": st.sampled_from([(), ("--patience",), ("--full-index",), ("-W",), ("--inter-hunk-context=2",)]),
    }
)
NO_FILE = "dev/null"
"""The name of the file that git creates if a `diff --git` part has lost its mode line. This engine creates none."""
MAIL = (b"From 0123456789 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] x\n\nA text.\n---\n", b"-- \n2.39.5\n\n")


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    return Git(tmp_path_factory.mktemp("git"))


@st.composite
def changes(draw: st.DrawFn) -> tuple[Tree, Tree]:
    before = draw(trees())
    return before, draw(edited(before))


@generated
@given(change=changes(), form=FORMS, mailed=st.booleans())
def test_patch_of_git_reproduces_its_target(
    git: Git, change: tuple[Tree, Tree], form: dict[str, Any], mailed: bool
) -> None:
    before, after = change
    patch = git.diff(before, after, *_options(form))
    assume(patch)
    applied = git.apply(before, patch, *_apply_options(form))
    # Without context, git itself may leave out the last newline.
    assume(form["context"] or applied == after)
    assert applied == after
    assert patched_by_us(before, patch) == after
    if mailed:
        assert patched_by_us(before, MAIL[0] + patch + MAIL[1]) == after


def _options(form: dict[str, Any]) -> list[str]:
    return [f"-U{form['context']}", *([] if form["prefix"] else ["--no-prefix"]), *form["names"], *form["style"]]


def _apply_options(form: dict[str, Any]) -> list[str]:
    return [*(["--unidiff-zero"] if form["context"] == 0 else []), *([] if form["prefix"] else ["-p0"])]


@st.composite
def damage(draw: st.DrawFn, patch: bytes) -> bytes:
    """Drop, duplicate, swap and garble lines of the patch."""
    lines = patch.split(b"\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(lines) - 2, 0)))
        kind = draw(st.sampled_from(["drop", "double", "garble", "number", "swap", "sign"]))
        if kind == "drop":
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "swap":
            lines[at : at + 2] = lines[at : at + 2][::-1]
        elif kind == "sign":
            lines[at] = draw(st.sampled_from([b" ", b"-", b"+", b""])) + lines[at][1:]
        elif kind == "number":
            hunks = [number for number, line in enumerate(lines) if line.startswith(b"@@")]
            if hunks:
                _shift_number(draw, lines, draw(st.sampled_from(hunks)))
        elif lines[at]:
            place = draw(st.integers(0, len(lines[at]) - 1))
            lines[at] = lines[at][:place] + draw(st.sampled_from([b"x", b" ", b"1", b"/"])) + lines[at][place + 1 :]
    return b"\n".join(lines)


def _shift_number(draw: st.DrawFn, lines: list[bytes], at: int) -> None:
    words = lines[at].replace(b"-", b"- ").replace(b"+", b"+ ").replace(b",", b" , ").split(b" ")
    numbers = [index for index, word in enumerate(words) if word.isdigit()]
    if numbers:
        index = draw(st.sampled_from(numbers))
        words[index] = b"%d" % max(0, int(words[index]) + draw(st.integers(-3, 3)))
        lines[at] = b" ".join(words).replace(b"- ", b"-").replace(b"+ ", b"+").replace(b" , ", b",")


@generated
@given(change=changes(), form=FORMS, data=st.data())
def test_damaged_patch_is_rejected_or_applied_as_git_applies_it(
    git: Git, change: tuple[Tree, Tree], form: dict[str, Any], data: st.DataObject
) -> None:
    before, after = change
    # A name beside `/dev/null` that has lost its `diff --git` line does not show whether `b/` is a folder.
    assume(form["prefix"] or "b/b" not in {*before, *after})
    patch = git.diff(before, after, *_options(form))
    assume(patch)
    damaged = data.draw(damage(patch))
    try:
        ours = patched_by_us(before, damaged)
    except ToolError:
        event("refused")
        return
    strip = () if form["prefix"] else ("-p0",)
    plain = git.apply(before, damaged, *strip)
    event("taken, and refused by git" if plain is None else "taken by both")
    if plain is None or plain == ours or NO_FILE in plain:
        return
    # Without `--unidiff-zero`, git puts a hunk without context at the end of the file. It also drops lines beyond the
    # counts of a hunk, which this engine rejects.
    readings = [(damaged, ("--unidiff-zero",)), (_recounted(damaged), ()), (_recounted(damaged), ("--unidiff-zero",))]
    assert ours in [git.apply(before, read, *strip, *options) for read, options in readings]


def _recounted(patch: bytes) -> bytes:
    """Return the patch with the counts in its headers as this engine counts them."""
    lines = patch.split(b"\n")
    for hunk in (hunk for section in parse(patch).sections for hunk in section.hunks):
        old, new = len(hunk.old_lines), len(hunk.lines) - hunk.count("-")
        header = lines[hunk.number - 1]
        lines[hunk.number - 1] = re.sub(
            rb"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@", rb"@@ -\g<1>,%d +\g<3>,%d @@" % (old, new), header
        )
    return b"\n".join(lines)
