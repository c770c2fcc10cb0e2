"""The projections of a run: however its frames are cut, and wherever a reader continues, the messages are the same.

Covers `chat.wire.chat_completions`, `chat.wire.responses`, `chat.wire.response_items`, `chat.wire.ui_messages`,
`chat.wire.ag_ui` and `chat.wire.questions`.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine import events
from chat.engine.events import Event
from chat.wire.ag_ui import AgUiStream
from chat.wire.chat_completions import ChunkStream, Completion, Head
from chat.wire.responses import ResponseStream
from chat.wire.sse import PING
from chat.wire.ui_messages import UiMessageStream
from tests.chat.wire import runs

HEAD = Head(id="chatcmpl-1", created=1, model="m")
FIELDS: dict[str, Any] = {"model": "m", "tools": []}


@st.composite
def steps(draw: st.DrawFn) -> list[Event]:
    """Return a run of some steps: texts, reasoning, tools, approvals, calls of the client, and any end."""
    texts = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
    found: list[Event] = [runs.start()]
    number = 0
    for _ in range(draw(st.integers(0, 4))):
        found += [events.Reasoning(text=text) for text in draw(st.lists(texts, max_size=2))]
        found += [runs.token(text) for text in draw(st.lists(texts, max_size=4))]
        found.append(runs.used())
        for kind in draw(st.lists(st.sampled_from(["server", "failed", "approval"]), max_size=2)):
            number += 1
            if kind == "approval":
                asked = [runs.called(number, "fs.write", "approval"), runs.approval(number), runs.resolved(number)]
                found += [*asked, runs.result(number, "fs.write")]
            else:
                outcome = runs.result(number) if kind == "server" else runs.failed(number)
                found += [runs.called(number), outcome]
        if count := draw(st.integers(0, 2)):
            mine = range(number + 1, number + 1 + count)
            number += count
            found += [runs.called(one, "weather", "client") for one in mine]
            found += [runs.client_call(one) for one in mine]
            found += [runs.result(one, "weather") for one in mine]
    last: Event = runs.end(draw(st.sampled_from(["completed", "length", "cancelled", "budget_exceeded"])))
    if draw(st.booleans()):
        last = events.Error(error="No.", code="provider_unavailable", retryable=True)
    return [*found, last]


def joined(frames: Sequence[bytes], cuts: set[int]) -> list[bytes]:
    """Return the frames as segments, which end at these places."""
    segments, segment = [], b""
    for place, frame in enumerate(frames):
        segment += frame
        if place in cuts:
            segments.append(segment)
            segment = b""
    return [*segments, segment] if segment else segments


def data(frames: bytes) -> list[Any]:
    lines = frames.decode().split("\n")
    found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(one) for one in found if one != "[DONE]"]


def parts_of(found: list[Event]) -> int:
    """Return the number of parts: a run stops at each approval, and at each group of calls of the client."""
    asks = [isinstance(event, events.ApprovalRequired | events.ClientToolCall) for event in found]
    return 1 + sum(this and not following for this, following in zip(asks, [*asks[1:], False], strict=True))


@given(steps(), st.sets(st.integers(0, 60)))
def test_segments_make_no_difference(found: list[Event], cuts: set[int]) -> None:
    frames = runs.frames(*found)
    for make in (
        lambda: ChunkStream(HEAD, include_usage=True),
        lambda: ResponseStream(runs.RUN, FIELDS, lambda: 1),
        lambda: UiMessageStream(runs.RUN, None),
        lambda: AgUiStream(runs.RUN, "t", "r"),
    ):
        whole, cut = make(), make()
        assert b"".join(cut.feed(one) for one in joined(frames, cuts)) == whole.feed(b"".join(frames))


@given(steps())
def test_response_is_the_same_when_it_is_read_again_from_any_event(found: list[Event]) -> None:
    frames = b"".join(runs.frames(*found))
    for part in range(parts_of(found)):
        stream = ResponseStream(runs.RUN, FIELDS, lambda: 1, part=part)
        whole = data(stream.feed(frames))
        assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
        # A reader that applies the events has the items of the last one.
        assert applied(whole) == whole[-1]["response"]["output"] == stream.response["output"]
        for after in range(-1, len(whole)):
            again = ResponseStream(runs.RUN, FIELDS, lambda: 1, part=part, after=after)
            assert data(again.feed(frames)) == whole[after + 1 :]


def applied(found: list[Any]) -> list[Any]:
    """Return the items as a client builds them from the events of a response."""
    items: dict[int, Any] = {}
    for event in found:
        kind = event["type"]
        if kind == "response.output_item.added":
            items[event["output_index"]] = event["item"]
        elif kind.endswith("text.delta"):
            items[event["output_index"]].setdefault("so far", []).append(event["delta"])
        elif kind.endswith("text.done"):
            assert event["text"] == "".join(items[event["output_index"]].pop("so far"))
        elif kind == "response.output_item.done":
            items[event["output_index"]] = event["item"]
    return [items[place] for place in sorted(items)]


@given(steps())
def test_texts_of_all_parts_are_those_of_the_run(found: list[Event]) -> None:
    frames = b"".join(runs.frames(*found))
    text = "".join(event.token for event in found if isinstance(event, events.Token))
    responses = [ResponseStream(runs.RUN, FIELDS, lambda: 1, part=part) for part in range(parts_of(found))]
    shown = [event for stream in responses for event in data(stream.feed(frames))]
    assert "".join(event["delta"] for event in shown if event["type"] == "response.output_text.delta") == text
    chunks = data(UiMessageStream(runs.RUN, None).feed(frames))
    assert "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta") == text
    agent = data(AgUiStream(runs.RUN, "t", "r").feed(frames))
    assert "".join(event["delta"] for event in agent if event["type"] == "TEXT_MESSAGE_CONTENT") == text
    completion = data(ChunkStream(HEAD).feed(frames))
    deltas = [chunk["choices"][0]["delta"] for chunk in completion if chunk.get("choices")]
    assert "".join(delta.get("content", "") for delta in deltas) == text


@given(steps())
def test_stream_of_ag_ui_continues_behind_any_event(found: list[Event]) -> None:
    frames = runs.frames(*found)
    whole = AgUiStream(runs.RUN, "t", "r").feed(b"".join(frames)).decode()
    for number in re.findall(r"^id: (\d+)$", whole, re.MULTILINE):
        asked = [
            event
            for event in found[: int(number)]
            if isinstance(event, events.ApprovalRequired | events.ClientToolCall)
        ]
        if asked:
            # The second part is a run of its own, whose messages have other names.
            break
        rest = AgUiStream(runs.RUN, "t", "r", after=int(number)).feed(b"".join(frames)).decode()
        assert whole.endswith(rest)
        assert not rest or whole[: -len(rest)].rstrip().count(f"id: {number}\n") == 1


@given(steps())
def test_parts_of_messages_are_well_formed(found: list[Event]) -> None:
    chunks = data(UiMessageStream(runs.RUN, None).feed(b"".join(runs.frames(*found))))
    open_parts: set[str] = set()
    known: set[str] = set()
    for chunk in chunks:
        kind = chunk["type"]
        if kind in {"text-start", "reasoning-start"}:
            assert not open_parts
            open_parts.add(chunk["id"])
        elif kind in {"text-delta", "reasoning-delta"}:
            assert chunk["id"] in open_parts
        elif kind in {"text-end", "reasoning-end"}:
            open_parts.remove(chunk["id"])
        elif kind == "tool-input-available":
            known.add(chunk["toolCallId"])
        elif kind.startswith("tool-"):
            assert chunk["toolCallId"] in known
    assert not open_parts
    kinds = [chunk["type"] for chunk in chunks]
    assert (kinds[0], kinds[-1], kinds.count("finish")) == ("start", "finish", 1)
    assert kinds.count("start-step") == kinds.count("finish-step")


def test_pings_stay_comments() -> None:
    for stream in (
        ChunkStream(HEAD), ResponseStream(runs.RUN, FIELDS, lambda: 1), UiMessageStream(runs.RUN, None),
        AgUiStream(runs.RUN, "t", "r"),
    ):  # fmt: skip
        assert stream.feed(PING) == PING


def test_call_that_never_ended_is_incomplete() -> None:
    frames = b"".join(runs.frames(runs.start(), runs.called(1), runs.end("cancelled")))
    stream = ResponseStream(runs.RUN, FIELDS, lambda: 1)
    stream.feed(frames)
    assert (stream.response["status"], stream.response["output"][0]["status"]) == ("cancelled", "incomplete")


@pytest.mark.parametrize(
    ("reason", "status"), [("length", "incomplete"), ("content_filter", "incomplete"), ("completed", "completed")]
)
def test_reasons_become_statuses(reason: Any, status: str) -> None:
    stream = ResponseStream(runs.RUN, FIELDS, lambda: 1)
    stream.feed(b"".join(runs.frames(runs.start(), runs.token("a"), runs.used(), runs.end(reason))))
    assert stream.response["status"] == status


def test_completion_and_its_chunks_have_the_same_calls() -> None:
    found = [runs.start(), runs.token("See."), runs.used(), runs.called(1, "weather", "client"), runs.client_call(1)]
    chunks, whole = ChunkStream(HEAD), Completion(HEAD)
    chunks.feed(b"".join(runs.frames(*found)))
    for event in found:
        whole.note(event)
    (streamed,) = [
        chunk["choices"][0]["delta"]["tool_calls"] for chunk in data(chunks.paused()) if chunk["choices"][0]["delta"]
    ]
    (call,) = whole.paused()["choices"][0]["message"]["tool_calls"]
    assert streamed == [{"index": 0, **call}]
