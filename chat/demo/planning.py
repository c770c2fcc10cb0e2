"""The plan of a week from its content: times, ids, tokens and costs. The same seed and time give the same week."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

from chat.demo import media
from chat.demo.content import Content, Conversation, Model, filled
from chat.demo.plan import PlannedSession, PlannedSpeech, Week
from chat.demo.turns import TurnPlanner, id_at

DAYS: Final = 7
SHARES: Final = (1.0, 1.2, 1.1, 1.3, 0.9, 0.12, 0.06)
"""The relative number of conversations on each day of the week, from Monday."""

HOURS: Final = (9, 9, 10, 10, 10, 11, 11, 12, 13, 14, 14, 15, 15, 16, 17)
"""Hours in which conversations begin, as often as they are listed."""

GAP: Final = timedelta(minutes=50)
"""The time before now in which only conversations with `now` take place."""

SPEECH_CALLS: Final = 9


def week(content: Content, seed: int, now: datetime) -> Week:
    """Return the plan of the seven days before `now`."""
    chance = Random(seed)  # noqa: S311 - the ids and times of a demo are no secrets
    models = {model.name: model for model in content.models}
    sessions = [
        _session(one, models[one.model], _start(one, chance, now), chance)
        for conversation in content.conversations
        for one in (filled(conversation, variant) for variant in conversation.variants)
    ]
    return Week(
        began=now - timedelta(days=DAYS + 1),
        people=content.people,
        keys=content.keys,
        sessions=tuple(sorted(sessions, key=lambda session: session.runs[0].created)),
        speech=tuple(_speech(chance, now)),
    )


def _start(conversation: Conversation, chance: Random, now: datetime) -> datetime:
    if conversation.now:
        return now - timedelta(seconds=chance.randint(240, 2_400))
    days = [now - timedelta(days=back) for back in range(DAYS)]
    while True:
        (day,) = chance.choices(days, [SHARES[day.weekday()] for day in days])
        hour = chance.choice(HOURS) if conversation.hour is None else conversation.hour
        start = day.replace(hour=hour, minute=chance.randint(0, 59), second=chance.randint(0, 59), microsecond=0)
        # Today may not have come so far, or it is a morning without any hour yet: then another day is chosen.
        if start < now - GAP - timedelta(hours=2):
            return start + timedelta(microseconds=chance.randint(0, 999_999))


def _session(conversation: Conversation, model: Model, start: datetime, chance: Random) -> PlannedSession:
    session_id = id_at(start, chance)
    planner = TurnPlanner(session_id, model, chance)
    runs, moment = [], start
    for turn in conversation.turns:
        run = planner.run(turn, moment)
        runs.append(run)
        moment = (run.ended or moment) + timedelta(seconds=chance.randint(20, 240))
    return PlannedSession(
        id=session_id,
        key=conversation.key,
        user=conversation.user,
        title=conversation.title,
        archived=conversation.archived,
        runs=tuple(runs),
    )


def _speech(chance: Random, now: datetime) -> Iterator[PlannedSpeech]:
    for number in range(SPEECH_CALLS):
        created = now - timedelta(hours=6 + 18 * number, minutes=chance.randint(0, 59))
        is_synthesis = number % 3 != 0
        text = "Good morning. The office opens at nine, and the tide is high at ten past eleven."
        yield PlannedSpeech(
            id=id_at(created, chance),
            key="support-desk",
            created=created,
            milliseconds=float(chance.randint(600, 2_900)),
            text=text,
            audio=media.tone(0.4, 300 + 40 * number),
            cost_usd=0.0012 if is_synthesis else 0.0006,
            is_synthesis=is_synthesis,
            error="The audio is not of a known format." if number == SPEECH_CALLS - 1 else "",
        )
