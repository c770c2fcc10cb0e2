"""Rendering of events by the terminal client."""

from typing import Any

import pytest
from orchestrator_client import Event, Reconnecting, TotalUsage, Unknown
from orchestrator_client.core.events import KnownEvent

from chat.client.rendering import OUTPUT, Rendering, Span, painted

USED = TotalUsage(input_tokens=1_200, output_tokens=3)
ESTIMATED = TotalUsage(estimated=True, cost_usd=0.0012)
TYPES = {kind.__struct_config__.tag: kind for kind in KnownEvent.__args__}


def shown(*items: Event | Reconnecting) -> str:
    """Return what the events of a run print on a terminal, without colours."""
    rendering = Rendering()
    return "".join(span.text for item in items for span in rendering.show(item))


def frame(kind: str, **fields: Any) -> Event:
    """Return an event of a type. Its other fields are empty."""
    found = TYPES[kind]
    empty = {name: TotalUsage() if name == "usage" else "" for name in found.__struct_fields__}
    return found(**{**empty, **fields})


def test_answer_is_shown_as_it_arrives() -> None:
    rendering = Rendering()
    assert rendering.show(frame("token", token="Hel")) == (Span("answer", "Hel"),)
    assert rendering.show(frame("token", token="lo\n")) == (Span("answer", "lo\n"),)
    assert rendering.show(frame("token", token="")) == ()


def test_reasoning_is_shown_as_it_arrives_apart_from_the_answer() -> None:
    rendering = Rendering()
    pieces = [
        ("reasoning", "So\x1b[2J"),
        ("reasoning", " it is"),
        ("token", "Yes"),
        ("reasoning", "Hm\n"),
        ("token", "!"),
    ]
    fields = {"reasoning": "text", "token": "token"}
    spans = [span for kind, piece in pieces for span in rendering.show(frame(kind, **{fields[kind]: piece}))]
    assert [(span.style, span.text) for span in spans] == [
        ("dim", "So\\x1b[2J"),
        ("dim", " it is"),
        ("dim", "\n"),
        ("answer", "Yes"),
        ("answer", "\n"),
        ("dim", "Hm\n"),
        ("answer", "!"),
    ]


def test_other_events_are_shown_on_lines_of_their_own() -> None:
    call = frame("tool_call", tool="fs.read", params={"path": "a.txt"})
    result = frame("tool_result", tool="fs.read", data={"content": "plover\n"})
    end = frame("end", reason="completed", usage=USED)
    assert shown(frame("token", token="Look:"), call, result, frame("token", token="plover"), end) == (
        'Look:\n-> fs.read {"path": "a.txt"}\n<- fs.read {"content": "plover\\n"}\nplover\n1,200 tokens in, 3 out\n'
    )


@pytest.mark.parametrize(
    ("item", "output"),
    [
        (frame("end", reason="length", usage=USED), "length · 1,200 tokens in, 3 out"),
        (frame("end", reason="completed", usage=ESTIMATED), "about 0 tokens in, 0 out · $0.001200"),
        (frame("error", code="storage", error="It is full."), "storage: It is full."),
        (
            frame("error", code="storage", error="It is full.", retryable=True),
            "storage: It is full. It may succeed if you try again.",
        ),
        (frame("tool_error", tool="fs.read", code="not_found", error="None."), "<- fs.read failed (not_found): None."),
        (frame("retry", provider="a", error="It is busy.", next_provider="b"), "a: It is busy. Asking b ..."),
        (
            frame("budget", scope="key", span="month", spent=8.5, limit=10, unit="usd"),
            "8.5 of 10 usd of the key's budget for this month are spent",
        ),
        (
            frame("budget", scope="run", span="run", spent=90, limit=100, unit="tokens"),
            "90 of 100 tokens of the run's budget are spent",
        ),
        (
            Reconnecting(attempt=2, max_attempts=8, seconds=0.5, why="reset"),
            "connection lost (reset); again in 0.5 s (2/8)",
        ),
    ],
)
def test_each_event_is_shown(item: Event | Reconnecting, output: str) -> None:
    assert shown(item) == f"{output}\n"


def test_internal_events_are_not_shown() -> None:
    assert shown(frame("start"), frame("usage"), Unknown(type="of_a_later_version", fields={})) == ""


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x08", "\u202e", "\u2028"])
def test_control_characters_never_reach_the_terminal(hostile: str) -> None:
    output = shown(
        frame("token", token=hostile),
        frame("tool_call", tool=hostile, params={hostile: hostile}),
        frame("tool_output", text=hostile, execution_id="1"),
        frame("tool_result", tool=hostile, data=hostile),
        frame("tool_error", tool=hostile, code=hostile, error=hostile),
        frame("retry", provider=hostile, error=hostile, next_provider=hostile),
        frame("end", reason=hostile),
        frame("error", code=hostile, error=hostile),
        Reconnecting(attempt=1, max_attempts=2, seconds=1, why=hostile),
    )
    assert hostile not in output
    assert all(character == "\n" or character.isprintable() for character in output)


def test_params_results_and_output_are_bounded() -> None:
    long = "x" * 100_000
    output = shown(
        frame("tool_call", tool="t", params=long),
        *[frame("tool_output", text="y" * 1_500, execution_id="1") for _ in range(50)],
        frame("tool_result", tool="t", data=long),
        frame("error", code="internal", error=long),
    )
    assert output.count("y") == OUTPUT
    assert len(output) < OUTPUT + 1_000


def test_colour_ends_before_its_line_break() -> None:
    assert painted(Span("error", "no\n")) == "\x1b[31mno\x1b[0m\n"
    assert painted(Span("answer", "yes\n")) == "yes\n"
