import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.events import Error, Start, Token
from chat.providers.scripted import text
from chat.wire import sse

START = Start(run_id="r", session_id=None, provider="p", model="m")


def test_frame_is_an_id_and_one_line_of_data() -> None:
    assert sse.frame(7, Token(token='a"\n')) == b'id: 7\ndata: {"type":"token","token":"a\\"\\n"}\n\n'


def test_token_frames_equal_single_frames() -> None:
    texts = ["a", '"', "\n", "漢😀", "\u2028"]
    frames = b"".join(sse.frame(number, Token(token=piece)) for number, piece in enumerate(texts, 5))
    assert sse.token_frames(5, text(*texts).pieces) == frames


def test_events_are_decoded_from_their_frames() -> None:
    error = Error(error="No.", code="internal", retryable=False)
    frames = sse.frame(1, START) + sse.PING[:0] + sse.token_frames(2, text("a", "b\n").pieces) + sse.frame(4, error)
    assert sse.events(frames) == [START, Token(token="a"), Token(token="b\n"), error]


@pytest.mark.parametrize("count", range(4))
def test_skipping_leaves_whole_frames(count: int) -> None:
    frames = [sse.frame(number, Token(token=str(number))) for number in range(3)]
    assert sse.skip(b"".join(frames), count) == b"".join(frames[count:])


@given(st.lists(st.text(), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_events_are_found_however_they_are_segmented(texts: list[str], newline: str, data: st.DataObject) -> None:
    datas = [piece.replace("\r", "").replace("\n", "") for piece in texts]
    stream = "".join(f": comment{newline}data: {piece}{newline}{newline}" for piece in datas).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter = sse.Splitter()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])
    found += sse.datas(splitter.rest())
    assert found == [piece.encode() for piece in datas]


def test_endless_event_is_rejected() -> None:
    splitter = sse.Splitter(max_bytes=100)
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        splitter.feed(b"data: " + b"x" * 200)
