"""The cost of a token in the form of another protocol."""

from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import AS_NATIVE, PROJECTIONS, Contestant
from benchmarks.harness.load import Load
from benchmarks.measures.measure import Figure, Measure, Round, Sample, cost


class Projections(Measure):
    """Streams of 1,000 tokens as fast as possible, in each protocol of the service."""

    name = "projections"
    contestants = PROJECTIONS
    figures = (
        Figure("token_us", "1,000 tokens as fast as they go: CPU µs a token", 2),
        Figure("ratio", "against the native events (at most 1.30)", 2),
    )
    lines = tuple(contestant.title for contestant in PROJECTIONS)
    rounds = (7, 2)

    async def round(self, arena: Arena, number: int) -> Round:
        """Play one round, and compare each protocol with the native events of the same round."""
        samples = await super().round(arena, number)
        native = samples[AS_NATIVE.title]["token_us"]
        return {title: {**sample, "ratio": sample["token_us"] / native} for title, sample in samples.items()}

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=1_000, seconds=0.5 if self.quick else 1.0)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"token_us": used / outcome.tokens}
