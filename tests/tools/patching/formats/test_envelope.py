"""Random edits in the format of `*** Begin Patch`, which must reproduce the edited files."""

import difflib
import os

import hypothesis.strategies as st
from hypothesis import assume, given, settings

from tests.tools.patching.trees import patched_by_us
from tools.base import ToolError
from tools.patching import Content

EXAMPLES = int(os.environ.get("PATCH_EXAMPLES", "150"))
WHOLE = 100
"""More lines of context than any file here has."""

generated = settings(max_examples=EXAMPLES, deadline=None)
texts = st.lists(st.sampled_from(["a", "b", "", " x", "-", "+", "@@", "*** End Patch", "é"]), max_size=15)
# There are at least two lines and the last is not empty, so that they determine the line ending of the file.
files = texts.map(lambda lines: ["first", *lines, "last"])
ends = st.sampled_from(["\n", "\r\n"])


def update(before: list[str], after: list[str], context: int) -> bytes:
    """Return the patch of the file `f`, with a bare `@@` before each hunk."""
    lines = list(difflib.unified_diff(before, after, n=context, lineterm=""))[2:]
    hunks = ("@@" if line.startswith("@@") else line for line in lines)
    return "\n".join(("*** Begin Patch", "*** Update File: f", *hunks, "*** End Patch")).encode()


def file_of(lines: list[str], end: str, *, closed: bool) -> Content:
    return Content(data=(end.join(lines) + (end if closed else "")).encode())


@generated
@given(before=files, after=files, context=st.integers(0, 3), end=ends, closed=st.booleans())
def test_edit_with_some_context_is_correct_or_rejected(
    before: list[str], after: list[str], context: int, end: str, closed: bool
) -> None:
    assume(before != after)
    patch = update(before, after, context)
    # A hunk that only adds lines goes to the end of the file.
    assume(all(hunk.count(b"\n-") + hunk.count(b"\n ") for hunk in patch.split(b"\n@@")[1:]))
    try:
        made = patched_by_us({"f": file_of(before, end, closed=closed)}, patch)
    except ToolError:
        return
    assert made == {"f": file_of(after, end, closed=closed)}


@generated
@given(before=files, after=files, end=ends, closed=st.booleans())
def test_edit_with_full_context_is_correct(before: list[str], after: list[str], end: str, closed: bool) -> None:
    assume(before != after)
    made = patched_by_us({"f": file_of(before, end, closed=closed)}, update(before, after, WHOLE))
    assert made == {"f": file_of(after, end, closed=closed)}


@generated
@given(lines=texts)
def test_added_file_has_every_line(lines: list[str]) -> None:
    patch = "\n".join(("*** Begin Patch", "*** Add File: f", *(f"+{line}" for line in lines), "*** End Patch"))
    made = Content(data="".join(f"{line}\n" for line in lines).encode())
    assert patched_by_us({}, patch.encode()) == {"f": made}
