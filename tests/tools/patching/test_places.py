"""Line numbers in long files, each of which must select exactly that line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.patching.trees import patched_by_us
from tools.base import ToolError
from tools.patching import Content
from tools.patching.target import BLOCK_BYTES

LINES = BLOCK_BYTES


def change(line: int) -> bytes:
    return f"--- a/f\n+++ b/f\n@@ -{line} +{line} @@\n-x\n+y\n".encode()


@pytest.mark.parametrize("line", [0, LINES + 1])
def test_line_number_beyond_the_file_is_not_trusted(line: int) -> None:
    with pytest.raises(ToolError, match="several places"):
        patched_by_us({"f": Content(data=b"x\n" * LINES)}, change(line))


@given(line=st.integers(1, LINES) | st.sampled_from([LINES // 2, LINES // 2 + 1, LINES]))
def test_line_number_in_a_long_file_selects_that_line(line: int) -> None:
    lines = [b"x\n"] * LINES
    made = patched_by_us({"f": Content(data=b"".join(lines))}, change(line))
    lines[line - 1] = b"y\n"
    assert made == {"f": Content(data=b"".join(lines))}


@pytest.mark.parametrize("data", [b"x", b"x\nx", b"x\n" * LINES + b"x"], ids=len)
def test_last_line_without_a_newline_has_a_line_number(data: bytes) -> None:
    line = data.count(b"x")
    note = b"\\ No newline at end of file\n"
    patch = change(line).replace(b"-x\n", b"-x\n" + note) + note
    assert patched_by_us({"f": Content(data=data)}, patch) == {"f": Content(data=data[:-1] + b"y")}
