"""The cost of a turn in a long conversation."""

from dataclasses import replace
from typing import ClassVar

from benchmarks.harness import database
from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import SERVICE, Contestant, native
from benchmarks.harness.load import Load
from benchmarks.measures.measure import Figure, Goal, Measure, Sample, cost, first_tokens


class History(Measure):
    """Turns of 20 tokens, each in a session with 1,000 messages."""

    name = "history"
    contestants = (SERVICE,)
    figures = (
        Figure("turn_ms", "A turn on a history of 1,000 messages: CPU ms", 2),
        Figure("first_p50_ms", "its first token: ms, p50", 1),
    )
    goals = (Goal(label="A turn on a history of 1,000 messages: CPU ms", key="turn_ms", bound=10),)
    rounds = (5, 2)

    messages: ClassVar[int] = 1_000
    sessions: ClassVar[int] = 20

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        running = await arena.running(contestant)
        sessions = iter(await database.fill(running.place, sessions=self.sessions, messages=self.messages))
        target = replace(running.target, body=lambda message: {**native(message), "session_id": next(sessions)})
        # The upstream counts the messages that it received, which shows that the whole history was sent.
        whole = b'"input_tokens":%d' % (self.messages + 1)
        outcome, used = await cost(running, Load(tokens=20, streams=self.sessions, holds=whole), target)
        return {"turn_ms": used / outcome.streams / 1_000, **first_tokens(outcome)}
