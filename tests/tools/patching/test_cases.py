"""Patches as models write them: `cases.jsonl` has files, a patch, and the files afterwards or that it is refused.

Covers `tools.patching.forgiving`.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tools.base import ToolError
from tools.patching import Content, Plan, apply, parse

CASES: list[dict[str, Any]] = [
    msgspec.json.decode(line) for line in Path(__file__).with_name("cases.jsonl").read_bytes().splitlines()
]
ROOT = "/srv/base"


def planned(files: dict[str, str], patch: str) -> Plan:
    contents = {name: Content(data=text.encode()) for name, text in files.items()}
    return apply(parse(patch.encode(), roots=(ROOT,)), contents.get)


def after(files: dict[str, str], patch: str) -> dict[str, str]:
    """Return the files with the patch applied."""
    changed = {effect.path: effect.after for effect in planned(files, patch).effects}
    kept = {name: text for name, text in files.items() if name not in changed}
    return {**kept, **{name: content.data.decode() for name, content in changed.items() if content}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_patch_with_one_reading_is_applied(case: dict[str, Any]) -> None:
    if case["expect"] == "ok":
        assert after(case["files_before"], case["patch"]) == case["files_after"], case["reason"]
    else:
        with pytest.raises(ToolError, match="lines 1, 3"):
            after(case["files_before"], case["patch"])


FILE = (
    "import os\n\n\nclass Alpha:\n    def run(self):\n        x = 1\n        return x\n\n\n"
    "class Beta:\n    def run(self):\n        x = 1\n        return x\n"
)
LAST_CHANGED = "x = 2".join(FILE.rsplit("x = 1", 1))
ONE = "-        x = 1\n+        x = 2\n"
RUN = f"     def run(self):\n{ONE}"
SMALL = {"m.py": "a\nb\nc\n"}
CHANGED = {"m.py": "a\nB\nc\n"}
HUNK = "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
HEAD = "--- a/m.py\n+++ b/m.py\n"
UPDATE = "*** Begin Patch\n*** Update File: {}\n@@\n a\n-b\n+B\n c\n*** End Patch\n"

SAME_CHANGE = {
    "fence": f"```diff\n{HEAD}{HUNK}```\n",
    "fence and prose": f"This changes b:\n\n```diff\n{HEAD}{HUNK}```\nThat is all.\n",
    "prose right after": f"{HEAD}{HUNK}Done.\n",
    "wrong counts": f"{HEAD}{HUNK}".replace("-1,3 +1,3", "-1,9 +1,7"),
    "wrong number": f"{HEAD}{HUNK}".replace("-1,3 +1,3", "-70,3 +71,3"),
    "no numbers": f"{HEAD}{HUNK}".replace("@@ -1,3 +1,3 @@", "@@"),
    "no end of the numbers": f"{HEAD}{HUNK}".replace("@@ -1,3 +1,3 @@", "@@ -1,3 +1,3"),
    "dots for numbers": f"{HEAD}{HUNK}".replace("@@ -1,3 +1,3 @@", "@@ ... @@"),
    "no prefixes": f"--- m.py\n+++ m.py\n{HUNK}",
    "one prefix": f"--- m.py\n+++ b/m.py\n{HUNK}",
    "prefixes of a alone": f"--- a/m.py\n+++ a/m.py\n{HUNK}",
    "dot slash": f"--- ./m.py\n+++ ./m.py\n{HUNK}",
    "absolute": f"--- {ROOT}/m.py\n+++ {ROOT}/m.py\n{HUNK}",
    "absolute behind a prefix": f"--- a{ROOT}/m.py\n+++ b{ROOT}/m.py\n{HUNK}",
    "absolute behind a prefix and a slash": f"--- a/{ROOT}/m.py\n+++ b/{ROOT}/m.py\n{HUNK}",
    "two folders": f"--- old/m.py\n+++ new/m.py\n{HUNK}",
    "backup": f"--- m.py.bak\n+++ m.py\n{HUNK}",
    "time after a tab": f"--- m.py\t2026-01-02 10:00:00.000 +0100\n+++ m.py\t2026-01-02 10:00:00.000 +0100\n{HUNK}",
    "time after a space": f"--- a/m.py 2026-01-02T10:00:00Z\n+++ b/m.py 2026-01-02T10:00:00Z\n{HUNK}",
    "time in words": f"--- m.py Fri Jan  2 10:00:00 2026\n+++ m.py Fri Jan  2 10:01:00 2026\n{HUNK}",
    "git header": f"diff --git a/m.py b/m.py\nindex 1111111..2222222 100644\n{HEAD}{HUNK}",
    "git header with other marks": f"diff --git a/m.py b/m.py\n--- m.py\n+++ m.py\n{HUNK}",
    "crlf": f"{HEAD}{HUNK}".replace("\n", "\r\n"),
    "crlf in the hunk": HEAD + HUNK.replace("\n", "\r\n"),
    "spaces behind lines": HEAD + "@@ -1,3 +1,3 @@\n a  \n-b\t\n+B\n c \n",
    "context without space": HEAD + "@@ -1,3 +1,3 @@\na\n-b\n+B\nc\n",
    "note of no newline": HEAD + HUNK.replace(" c\n", " c\n\\ No newline at end of file\n"),
    "envelope": UPDATE.format("m.py"),
    "envelope in a fence": f"```\n{UPDATE.format('m.py')}```",
    "envelope in a command": f"apply_patch <<'EOF'\n{UPDATE.format('m.py')}EOF\n",
    "envelope with an absolute path": UPDATE.format(f"{ROOT}/m.py"),
    "envelope with a prefix": UPDATE.format("b/m.py"),
    "envelope with quotes": UPDATE.format("`m.py`"),
    "envelope with numbers": UPDATE.format("m.py").replace("@@", "@@ -1,3 +1,3 @@"),
    "envelope without at signs": UPDATE.format("m.py").replace("@@\n", ""),
    "envelope without spaces": UPDATE.format("m.py").replace("\n a\n", "\na\n").replace("\n c\n", "\nc\n"),
    "envelope with crlf": UPDATE.format("m.py").replace("\n", "\r\n"),
    "envelope with crlf in the hunk": UPDATE.format("m.py").replace(" a\n-b\n+B\n c\n", " a\r\n-b\r\n+B\r\n c\r\n"),
    "envelope with spaces behind lines": UPDATE.format("m.py").replace(" a\n", " a \n").replace("-b\n", "-b \n"),
    "envelope with a section around": UPDATE.format("m.py").replace("*** End Patch", "*** End of File\n*** End Patch"),
}


@pytest.mark.parametrize("kind", SAME_CHANGE)
def test_same_change_in_other_words_is_applied(kind: str) -> None:
    assert after(SMALL, SAME_CHANGE[kind]) == CHANGED


@pytest.mark.parametrize("kind", [kind for kind in SAME_CHANGE if "note" not in kind])
@pytest.mark.parametrize("text", ["a\r\nb\r\nc\r\n", "a\r\nb\nc", "\ufeffa\nb\r\nc", "\ufeffa  \r\nb\nc\t\r\n"])
def test_kept_lines_keep_their_bytes(kind: str, text: str) -> None:
    assert after({"m.py": text}, SAME_CHANGE[kind]) == {"m.py": text.replace("b", "B")}


@pytest.mark.parametrize(
    ("before", "patch", "expected"),
    [
        # An ellipsis stands for lines that were left out.
        (FILE, HEAD + "@@\n class Beta:\n ...\n-        x = 1\n+        x = 2\n", LAST_CHANGED),
        (FILE, f"{HEAD}@@ -90,3 +90,3 @@ class Beta:\n{RUN}", LAST_CHANGED),
        (FILE, f"{HEAD}@@ class Beta: @@\n{RUN}", LAST_CHANGED),
        (FILE, f"*** Begin Patch\n*** Update File: m.py\n@@ class Beta\n@@ def run\n{ONE}*** End Patch", LAST_CHANGED),
        # Composed and decomposed accents.
        ("Cafe\u0301\nx\n", HEAD + "@@ -1,2 +1,2 @@\n Caf\u00e9\n-x\n+y\n", "Cafe\u0301\ny\n"),
        # New lines take the line ends of their neighbours.
        ("a\r\nb\r\nc\n", HEAD + "@@ -1,3 +1,4 @@\n a\n b\n+x\n c\n", "a\r\nb\r\nx\r\nc\n"),
        ("a\r\nb\nc\r\n", HEAD + "@@ -1,3 +1,2 @@\n a\n-b\n c\n", "a\r\nc\r\n"),
        # The last line.
        ("a\nb", HEAD + "@@ -1,2 +1,1 @@\n a\n-b\n", "a"),
        ("a\nb", HEAD + "@@ -2 +2 @@\n-b\n+B\n", "a\nB"),
        ("a\nb", "*** Begin Patch\n*** Update File: m.py\n@@\n b\n+c\n*** End Patch\n", "a\nb\nc"),
        ("a\nb\n", "*** Begin Patch\n*** Update File: m.py\n+c\n*** End Patch\n", "a\nb\nc\n"),
    ],
)  # fmt: skip
def test_one_reading_is_found(before: str, patch: str, expected: str) -> None:
    assert after({"m.py": before}, patch) == {"m.py": expected}


@pytest.mark.parametrize(
    ("files", "patch", "named"),
    [
        ({"m.py": "x\ny\nx\ny\n"}, HEAD + "@@\n x\n-y\n+z\n", "lines 1, 3"),
        ({"m.py": "x \ny\nx\t\ny\n"}, HEAD + "@@ -9,2 +9,2 @@\n x\n-y\n+z\n", "lines 1, 3"),
        ({"m.py": "a\nb\nc\n", "m.py.orig": "a\nb\nc\n"}, f"--- m.py.orig\n+++ m.py\n{HUNK}", "'m.py' and 'm.py.orig'"),
        ({"m.py": "a\nb\nc\n"}, UPDATE.format("c.py"), "'c.py' does not exist"),
        ({"m.py": "a\nb\nc\n"}, UPDATE.format("/srv/other/m.py"), "absolute"),
        ({"m.py": "a\n  b\nc\n"}, HEAD + HUNK, "white space differs"),
    ],
)
def test_patch_without_one_reading_is_refused(files: dict[str, str], patch: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        after(files, patch)


def test_notes_report_what_was_forgiven() -> None:
    assert planned(SMALL, HEAD + HUNK).notes == ()
    (note,) = planned({"m.py": "a\nb \nc\n"}, HEAD + HUNK).notes
    assert note.startswith("m.py: white space")
    assert len(planned({"m.py": "a\nb\nc"}, f"Here:\n{UPDATE.format('a/m.py')}").notes) == 2
