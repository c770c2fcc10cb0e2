"""Texts that name commits, and the rejection of every text that git could read as anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.base import ToolError
from tools.git.revisions import one_revision, revisions

GOOD = [
    *("HEAD", "@", "main", "v1.0", "feature/new-thing", "größe", "名前", "a#b", "fix,x", "1234abc", "_x", "a@b", "#12"),
    "HEAD~",
    "HEAD~3",
    "HEAD^",
    "HEAD^2~1^",
    "v1^{}",
    "v1^{commit}",
    "@{u}",
    "@{-1}",
    "main@{upstream}",
    "main@{2}",
    "HEAD@{yesterday}",
    "main@{2026-01-01 10:00:00 +0200}",
    "refs/heads/main",
    "origin/main",
    "v1-3-gabcdef",
]
BAD = [
    "",
    " ",
    "-",
    "--help",
    "-n1",
    "--output=x",
    "--ext-diff",
    "-p",
    "--no-index",
    "\n",
    "main\n",
    "a b",
    "a\tb",
    "HEAD:file",
    ":file",
    ":/text",
    ":0:file",
    "HEAD^{tree}",
    "HEAD^{/text}",
    "HEAD^@",
    "HEAD^!",
    "HEAD^-",
    "^main",
    "*",
    "ma?n",
    "[a]",
    "a\\b",
    "a~b",
    "a\0b",
    "\ud800",
    "@{",
    "@{}",
    "@{a\nb}",
    "x" * 251,
    "\x1b[31m",
    "a;b",
    "$(x)",
    "`x`",
    "'x'",
    '"x"',
    "a|b",
    "a>b",
    "{a}",
]
BAD_RANGES = ["a..b..c", "a....b", "a..-b", "--a..b", "a..b:c", "a.. b", "^a..b"]


@pytest.mark.parametrize("text", GOOD)
def test_revision_is_accepted_as_a_commit(text: str) -> None:
    assert one_revision(text).argument == f"{text}^{{commit}}"
    assert revisions(text) == one_revision(text)


@pytest.mark.parametrize("text", BAD)
def test_text_that_names_no_commit_is_rejected(text: str) -> None:
    for parse in (one_revision, revisions):
        with pytest.raises(ToolError, match="revision") as refusal:
            parse(text)
        assert refusal.value.code == "invalid_params"


@pytest.mark.parametrize("text", BAD_RANGES)
def test_malformed_range_is_rejected(text: str) -> None:
    with pytest.raises(ToolError, match=r"a\.\.b"):
        revisions(text)


def test_range_is_not_accepted_as_a_single_revision() -> None:
    with pytest.raises(ToolError):
        one_revision("a..b")


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("a..b", "a^{commit}..b^{commit}"),
        ("a~1...@{u}", "a~1^{commit}...@{u}^{commit}"),
        ("..b", "HEAD^{commit}..b^{commit}"),
        ("a...", "a^{commit}...HEAD^{commit}"),
        ("v1.0..v1.1", "v1.0^{commit}..v1.1^{commit}"),
    ],
)
def test_both_ends_of_a_range_become_commits(text: str, argument: str) -> None:
    assert revisions(text).argument == argument


@given(st.text(max_size=30) | st.text("-.:^~@{}/ab1 \n", max_size=20))
def test_accepted_revision_is_never_an_option_or_a_path(text: str) -> None:
    try:
        argument = revisions(text).argument
    except ToolError:
        return
    assert not argument.startswith(("-", ":", "^"))
    assert ":" not in argument.replace("@{", "").partition("}")[0] or "@{" in argument
    assert not set(argument) & set("\0\n\t*?[\\")
