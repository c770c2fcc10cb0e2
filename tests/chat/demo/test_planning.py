"""The plan of the demo's week: it is a function of its content, a seed and a time.

Covers `chat.demo.content`, `chat.demo.media`, `chat.demo.plan`, `chat.demo.planning`, `chat.demo.turns`.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from chat.demo import media
from chat.demo.content import Content, ContentInvalid, filled, load
from chat.demo.plan import Week
from chat.demo.planning import week
from chat.engine.events import End, Error, Start

# A Wednesday.
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HEAD = """people = []
keys = [{ name = "k", scopes = ["chat"] }]
models = [{ name = "openai/x", input = 1.0, output = 1.0, words_per_second = 1.0 }]
"""


@pytest.fixture(scope="module")
def content() -> Content:
    return load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("=", "Invalid statement"),
        ("people = 1", "array"),
        (f"{HEAD}conversations = []\nmore = 1", "unknown field `more`"),
        (f"{HEAD}[[conversations]]\ntitle = 't'\nkey = 'k'\nmodel = 'y'\nturns = []\nvariants = []", "no model y"),
        (f"{HEAD}[[conversations]]\ntitle = 't'\nkey = 'j'\nmodel = 'openai/x'\nturns = []\nvariants = []", "no key j"),
    ],
)
def test_invalid_content_is_refused_with_its_problem(text: str, said: str) -> None:
    with pytest.raises(ContentInvalid, match=said):
        load(text)


def test_same_seed_and_time_plan_the_same_week(content: Content) -> None:
    assert week(content, 1, NOON) == week(content, 1, NOON)
    assert week(content, 1, NOON) != week(content, 2, NOON)


def moments(planned: Week) -> list[datetime]:
    runs = [run for session in planned.sessions for run in session.runs]
    ends = [run.ended for run in runs if run.ended] + [one.created for run in runs for one in run.messages]
    return [*(run.created for run in runs), *ends, *(call.created for call in planned.speech)]


@pytest.mark.parametrize("hours", range(0, 168, 23))
def test_whole_week_is_in_the_past_whenever_it_is_planned(content: Content, hours: int) -> None:
    now = NOON + timedelta(hours=hours)
    planned = week(content, 3, now)
    assert planned.began < min(moments(planned)) > now - timedelta(days=8)
    assert max(moments(planned)) <= now


def test_week_has_the_shape_of_working_days_and_outcomes_of_every_kind(content: Content) -> None:
    planned = week(content, 1, NOON)
    days = Counter(session.runs[0].created.weekday() for session in planned.sessions)
    assert 60 <= len(planned.sessions) <= 120
    assert days[5] + days[6] < min(days[day] for day in range(5)) * 2
    runs = [run for session in planned.sessions for run in session.runs]
    assert Counter(run.status for run in runs)["waiting"] == 3
    assert {"completed", "cancelled", "budget_exceeded", "max_steps", "provider_unavailable"} <= {
        run.reason for run in runs
    }
    decisions = [one for run in runs for one in run.executions if one.decision]
    assert {one.decision for one in decisions} == {"approved", "denied"}
    assert all(one.note and one.decided_by for one in decisions)
    messages = [message for run in runs for message in run.messages]
    assert {message.role for message in messages} == {"user", "assistant", "tool", "summary"}
    assert len({run.model for run in runs}) == 5
    assert not any("{" in session.title for session in planned.sessions)


def test_events_begin_and_end_as_those_of_the_service(content: Content) -> None:
    for session in week(content, 1, NOON).sessions:
        for run in session.runs:
            assert isinstance(run.events[0], Start)
            assert isinstance(run.events[-1], End | Error) is (run.ended is not None)
            answers = [message.usage for message in run.messages if message.usage]
            assert sum(usage.output_tokens for usage in answers) == run.usage.output_tokens


def test_variant_fills_every_text(content: Content) -> None:
    one = content.conversations[0]
    assert "{test}" in one.turns[0].user
    assert one.variants[0]["test"] in filled(one, one.variants[0]).turns[0].user


def test_picture_and_recording_have_their_formats() -> None:
    assert media.chart([0.5, 1]).startswith(b"\x89PNG")
    assert media.tone(0.1)[:4] == b"RIFF"
