"""Lines, patterns and globs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.base import ToolError
from tools.workspace import Glob, LinePattern
from tools.workspace.reading.lines import lines_of, runs

LONGEST = 8
PIECES = st.sampled_from([b"a", b"\n", b"\r\n", b"\0", b"\xff", "é".encode(), "\u20ac".encode(), b"long line "])


def cut(data: bytes, block: int) -> list[bytes]:
    blocks = (data[start : start + block] for start in range(0, len(data), block))
    return [line for run, _ in runs(blocks, LONGEST) for line in lines_of(run)]


@settings(deadline=None)
@given(data=st.lists(PIECES).map(b"".join), block=st.integers(1, LONGEST))
def test_lines_join_to_the_data_whatever_the_blocks(data: bytes, block: int) -> None:
    lines = cut(data, block)
    assert b"".join(lines) == data
    assert lines == cut(data, LONGEST)
    assert all(len(line) <= LONGEST for line in lines)
    assert all(line.endswith(b"\n") or len(line) > LONGEST - 4 for line in lines[:-1])


@settings(deadline=None)
@given(data=st.lists(PIECES).map(b"".join), block=st.integers(1, LONGEST))
def test_runs_count_their_lines(data: bytes, block: int) -> None:
    blocks = (data[start : start + block] for start in range(0, len(data), block))
    assert all(len(list(lines_of(run))) == count for run, count in runs(blocks, LONGEST))


@given(text=st.text(st.sampled_from("aé€😀"), max_size=50))
def test_long_line_is_split_between_characters(text: str) -> None:
    assert "".join(line.decode() for line in cut(text.encode(), LONGEST)) == text


def pattern(text: str, *, ignore_case: bool = False) -> LinePattern:
    return LinePattern(text, ignore_case=ignore_case, max_size=2000)


@pytest.mark.parametrize(
    "text",
    ["(", "[a", "*a", "(?=a)", "(?<!a)b", r"(a)\1", "a{2000}", "((a{99}){99}){99}", "a\ud800", "(?P<n", "[z-a]", "a**"],
)
def test_invalid_pattern_is_reported(text: str) -> None:
    with pytest.raises(ToolError) as refusal:
        pattern(text)
    assert refusal.value.code == "invalid_params"
    str(refusal.value).encode()


@pytest.mark.parametrize(
    "text", ["(x+x+)+y", "(a|a)*$", "(.*)*z", "(.*.*.*.*.*)*q", "x*x*x*x*x*x*x*x*x*y", "(a?){500}b"]
)
def test_exponential_pattern_does_not_hang(text: str) -> None:
    evil = pattern(text)
    assert evil.may_be_in(b"x" * 65536) == (evil.find(b"x" * 65536) is not None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("^b$", b"b"),
        ("b$", b"ab"),
        (r"\Ab", b"bc"),
        (r"a\z", b"a"),
        ("(?i)B", b"b"),
        ("(?-m)^b", b"b"),
        ("(?:b|c)", b"c"),
        (r"\bb\b", b"a b c"),
        ("é.", "éa".encode()),
        ("[^x]$", b"b"),
        (r"\Qa.b", b"a.b"),
        ("^$", b""),
    ],
)
def test_matching_line_is_never_missed_among_others(text: str, line: bytes) -> None:
    wanted = pattern(text)
    assert wanted.find(line) is not None
    for end in (b"\n", b"\r\n"):
        assert wanted.may_be_in(b"zz" + end + line + end + b"zz" + end)


def test_pattern_does_not_match_across_lines() -> None:
    assert pattern(r"a\s+b").find(b"a") is None
    assert pattern("b", ignore_case=True).find(b"aB") == 1


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("*.py", "a.py", True),
        ("*.py", "deep/down/a.py", True),
        ("*.py", "a.pyc", False),
        ("*", ".hidden", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[a-c].txt", "b.txt", True),
        ("[!a-c].txt", "b.txt", False),
        ("[!a-c].txt", "d.txt", True),
        ("[]]", "]", True),
        ("[", "[", True),
        ("a[.]b", "axb", False),
        ("*.{ts,tsx}", "a.tsx", True),
        ("*.{ts,tsx}", "a.js", False),
        ("{a,b{c,d}}", "bd", True),
        ("a,b", "a,b", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/deep/a.py", False),
        ("src/*.py", "other/src/a.py", False),
        ("./src/*.py", "src/a.py", True),
        ("**/*.py", "a.py", True),
        ("**/*.py", "x/y/a.py", True),
        ("src/**", "src/x/y", True),
        ("src/**/a.py", "src/a.py", True),
        ("src/**/a.py", "src/x/y/a.py", True),
        ("src/[!x]y", "src//y", False),
        ("(a|b)+$", "(a|b)+$", True),
        ("é*", "éa", True),
    ],
)
def test_glob_matches_paths(glob: str, path: str, *, matches: bool) -> None:
    assert Glob(glob, 2000).matches(tuple(path.split("/"))) is matches


@pytest.mark.parametrize("glob", ["{a", "{a,{b}", "[z-a]", "\ud800", "{" * 500])
def test_invalid_glob_is_reported(glob: str) -> None:
    with pytest.raises(ToolError) as refusal:
        Glob(glob, 2000)
    assert refusal.value.code == "invalid_params"
