"""The captured part of a stream: its first and last bytes, however it is split."""

from hypothesis import given
from hypothesis import strategies as st

from tools.sandbox.output.capture import Capture


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(0, 30), st.integers(0, 30))
def test_head_and_tail_are_kept_within_bounds(pieces: list[bytes], head_bytes: int, tail_bytes: int) -> None:
    capture = Capture(head_bytes, tail_bytes)
    for piece in pieces:
        capture.take(piece)
    whole, captured = b"".join(pieces), capture.captured()
    rest = whole[head_bytes:]

    assert captured.head == whole[:head_bytes]
    assert captured.tail == rest[max(0, len(rest) - tail_bytes) :]
    assert captured.size == len(whole)
    assert captured.truncated == (len(whole) > head_bytes + tail_bytes)
