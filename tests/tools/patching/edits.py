"""Random trees of files, and random edits of them."""

from collections.abc import Iterable

import hypothesis.strategies as st

from tests.tools.patching.trees import Tree
from tools.patching import Content

PATHS = (
    "a",
    "b.txt",
    "c.sh",
    "docs/guide.md",
    "docs/deep/notes",
    "with space",
    "with space/in folder",
    "é/ü.txt",
    'quo"te',
    "tab\there",
    "back\\slash",
    "b/b",
    "a.d/a",
    "-dash",
    "日本",
)
LINES = (
    b"",
    b"a",
    b"b",
    b"{",
    b"}",
    b"    return x",
    b"\t- item",
    b"-- sql",
    b"++ x",
    b"@@ -1 +1 @@",
    b" lead",
    b"\\ note",
)
RARE_LINES = (
    b"\xff\xfe raw",
    b"caf\xe9",
    "naïve".encode(),
    b"lone\rcr",
    b"-- ",
    b"*** End Patch",
    b"diff --git a/a b/a",
)

line = st.sampled_from(LINES) | st.sampled_from(RARE_LINES) | st.integers(0, 99).map(lambda n: b"line %d" % n)
lines = st.lists(line, max_size=30)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Generate a text file with any line endings, last newline, byte order mark and mode."""
    ends = draw(st.sampled_from([[b"\n"], [b"\n"], [b"\r\n"], [b"\n", b"\r\n"]]))
    return Content(data=_joined(draw, draw(lines), ends), executable=draw(st.booleans()))


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    paths = draw(st.lists(st.sampled_from(PATHS), max_size=6, unique=True))
    return {path: draw(contents()) for path in paths if not _collides(path, paths)}


@st.composite
def edited(draw: st.DrawFn, tree: Tree) -> Tree:
    """Apply a few changes to a tree: of lines, modes and names, with files added and removed."""
    after = dict(tree)
    for path in tree:
        change = draw(st.sampled_from(["keep", "edit", "edit", "edit", "delete", "move", "copy", "mode", "rewrite"]))
        content = tree[path]
        if change in {"delete", "move"}:
            del after[path]
        if change in {"move", "copy"}:
            target = draw(st.sampled_from(PATHS))
            if target not in after and not _collides(target, {*tree, *after}):
                after[target] = draw(edits(content)) if draw(st.booleans()) else content
        if change == "edit":
            after[path] = draw(edits(content))
        if change == "mode":
            after[path] = Content(data=content.data, executable=not content.executable)
        if change == "rewrite":
            after[path] = draw(contents())
    new = draw(st.sampled_from(PATHS))
    if draw(st.booleans()) and not _collides(new, {*tree, *after}):
        after[new] = draw(contents())
    return after


@st.composite
def edits(draw: st.DrawFn, content: Content) -> Content:
    """Replace, remove, duplicate or add some of the file's lines, line endings included."""
    pieces = content.data.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(pieces)))
        removed = draw(st.integers(0, 3))
        end = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b""]))
        pieces[at : at + removed] = [text + end for text in draw(st.lists(line, max_size=3))]
    if draw(st.integers(0, 4)) == 0:
        pieces[-1:] = [piece.rstrip(b"\r\n") for piece in pieces[-1:]]
    return Content(data=b"".join(pieces), executable=content.executable)


def _joined(draw: st.DrawFn, texts: list[bytes], ends: list[bytes]) -> bytes:
    data = b"".join(text + draw(st.sampled_from(ends)) for text in texts)
    if draw(st.integers(0, 3)) == 0:
        data = data.rstrip(b"\r\n")
    return b"\xef\xbb\xbf" + data if draw(st.integers(0, 9)) == 0 else data


def _collides(path: str, others: Iterable[str]) -> bool:
    """Check whether one path is a folder of the other."""
    return any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in others)
