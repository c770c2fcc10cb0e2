"""The cost of a turn, and the time to its first token."""

from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import FASTAPI, NGINX, SERVICE, UNSTORED, UPSTREAM, Contestant
from benchmarks.harness.load import Load
from benchmarks.measures.measure import Figure, Goal, Measure, Round, Sample, cost, first_tokens


class Turn(Measure):
    """Turns of 20 tokens, one after the other, each in a new session."""

    name = "turn"
    contestants = (UPSTREAM, NGINX, SERVICE, UNSTORED, FASTAPI)
    figures = (
        Figure("turn_ms", "A turn of 20 tokens: CPU ms", 2),
        Figure("added_p50_ms", "its first token, later than the upstream's own: ms, p50", 2),
        Figure("added_p99_ms", "the same, p99", 2),
    )
    goals = (
        Goal(label="A stored turn of 20 tokens: CPU ms", key="turn_ms", bound=1),
        Goal(label="A stored turn of 20 tokens: ms added to the first token, p50", key="added_p50_ms", bound=1.5),
    )
    rounds = (9, 3)

    async def round(self, arena: Arena, number: int) -> Round:
        samples = await super().round(arena, number)
        direct = samples.pop(UPSTREAM.title)
        for sample in samples.values():
            # The upstream's own time, taken in the same round, is not the contestant's.
            for percent in ("p50", "p99"):
                sample[f"added_{percent}_ms"] = sample[f"first_{percent}_ms"] - direct[f"first_{percent}_ms"]
        return samples

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=20, seconds=0.5 if self.quick else 1.5)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"turn_ms": used / outcome.streams / 1_000, **first_tokens(outcome)}
