"""Server-sent events as the HTML standard parses them. Covers `orchestrator_client.core.sse`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator_client import End, ProtocolError, Start, Token, Unknown
from orchestrator_client.core.sse import MAX_EVENT_BYTES, EventReader, Parser

from chat.engine import events
from chat.wire import sse

RUN = [
    events.Start(run_id="r", session_id=None, provider=None, model=None),
    events.Token(token="é\u2028\u0085 \\ud800"),
    events.ToolResult(tool="fs.read", data={"a": ["\r\n", "\n\n"]}, execution_id="e"),
    events.End(reason="completed", run_id="r", session_id=None, usage=events.TotalUsage(input_tokens=7)),
]
STREAM = sse.PING.join(sse.frame(number, event) for number, event in enumerate(RUN, 1))
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


def parsed(*segments: bytes, max_bytes: int = 1_000) -> list[tuple[bytes, bytes]]:
    parser = Parser(max_bytes)
    return [(message.id, message.data) for segment in segments for message in parser.feed(segment)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (b"data: unfinished", []),
        (b"data: unfinished\n", []),
        (b"\n\n\n: comment\n\n", []),
        (b"id: 1\n\n", []),
        (b"data\n\n", [(b"", b"")]),
        (b"data:a\ndata: b\ndata:  c\n\n", [(b"", b"a\nb\n c")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"", b"a")]),
        (b"\xef\xbb\xbf\ndata: a\n\n", [(b"", b"a")]),
        (b"event: x\nretry: 5\nother: y\ndata: a\n\n", [(b"", b"a")]),
        (b"id: 1\0\ndata: a\n\n", [(b"", b"a")]),
        (b"data: a\r\ndata: b\r\n\r\n", [(b"", b"a\nb")]),
        (b"id: 7\rdata: a\r\rid\r\ndata: b\r\n\r\n", [(b"7", b"a"), (b"", b"b")]),
    ],
)
def test_stream_is_parsed_as_the_standard_says(stream: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert parsed(stream) == expected
    assert parsed(*[stream[at : at + 1] for at in range(len(stream))]) == expected


@given(st.data(), ENDS)
def test_events_are_the_same_in_any_segmentation(data: st.DataObject, end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    segments = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = EventReader()
    found = [event for segment in segments for event in reader.feed(segment)]
    assert [type(event).__name__ for event in found] == ["Start", "Token", "ToolResult", "End"]
    assert found[1] == Token(token="é\u2028\u0085 \\ud800")
    assert reader.last == 4


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 95, b"data: x\n" * 60, b"x" * 101])
def test_event_beyond_the_limit_is_rejected_before_it_is_complete(stream: bytes) -> None:
    assert parsed(b"data: " + b"x" * 90 + b"\n\n", max_bytes=100) == [(b"", b"x" * 90)]
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        parsed(*[stream[at : at + 7] for at in range(0, len(stream), 7)], max_bytes=100)


def test_event_reader_has_a_limit() -> None:
    with pytest.raises(ProtocolError, match="which is the limit"):
        list(EventReader().feed(b"data: " + b"x" * MAX_EVENT_BYTES))


@pytest.mark.parametrize("data", [b"<html>", b"[]", b'{"type":1}', b'{"type":"token"}', b'{"a":1}', b'"\xff"'])
def test_data_that_is_not_an_event_is_rejected(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="invalid event"):
        list(EventReader().feed(b"data: " + data + b"\n\n"))


def test_events_that_were_received_are_not_given_twice() -> None:
    reader = EventReader(2)
    assert [type(event) for event in reader.feed(STREAM)][-1] is End
    assert list(reader.feed(STREAM)) == []
    reader.reconnect()
    rebuilt = STREAM.replace(b'"model":null', b'"model":null,"rebuilt":true')
    assert [type(event).__name__ for event in reader.feed(rebuilt)] == ["Start", "Token", "ToolResult", "End"]


def test_unknown_types_and_fields_are_accepted() -> None:
    stream = b'data: {"type":"news","spent":1}\n\ndata: {"type":"token","token":"a","more":[1]}\n\n'
    reader = EventReader()
    assert list(reader.feed(stream)) == [Unknown(type="news", fields={"spent": 1}), Token(token="a")]
    assert reader.last == 0


def test_part_of_a_cut_event_is_dropped() -> None:
    reader = EventReader()
    first = STREAM.index(b"\n\n") + 2
    assert len(list(reader.feed(STREAM[: first + 9]))) == 1
    reader.reconnect()
    assert isinstance(next(iter(EventReader().feed(STREAM))), Start)
    assert len(list(reader.feed(STREAM[first:]))) == 3
