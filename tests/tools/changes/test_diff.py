"""Unified diffs, compared with those of git."""

import subprocess
from pathlib import Path

import pytest

from tools.changes.diff import MAX_LINES, unified_diff

PAIRS = {
    "changed": (b"a\nb\nc\n", b"a\nB\nc\n"),
    "made": (None, b"a\n"),
    "removed": (b"a\n", None),
    "no end of line before": (b"a", b"a\n"),
    "no end of line after": (b"a\n", b"a"),
    "other line ends": ("a\x0bb\u2028c\r\nd\n".encode(), "a\x0bb\u2028c\nd\n".encode()),
    "far apart": (b"".join(b"%d\n" % n for n in range(99)), b"".join(b"%d\n" % (n or 7) for n in range(98))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_git_applies_the_difference(name: str, tmp_path: Path) -> None:
    before, after = PAIRS[name]
    if before is not None:
        (tmp_path / "f.txt").write_bytes(before)
    text = unified_diff("f.txt", before, after)
    subprocess.run(["git", "apply", "-"], input=text.encode(), cwd=tmp_path, check=True, capture_output=True)
    left = (tmp_path / "f.txt").read_bytes() if (tmp_path / "f.txt").exists() else None
    assert left == after


def test_binary_and_huge_files_are_named_only() -> None:
    assert unified_diff("f", b"\0", b"x") == "Binary files a/f and b/f differ\n"
    assert unified_diff("f", b"\xff\xfe", None) == "Binary files a/f and /dev/null differ\n"
    many = b"".join(b"%d\n" % n for n in range(MAX_LINES + 1))
    assert "too many lines" in unified_diff("f", b"", many)
    # Lines that both files have cost nothing.
    assert "+new" in unified_diff("f", many, b"new\n" + many)
