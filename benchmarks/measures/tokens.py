"""The cost of a token: in a burst, and at the pace of a model."""

from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import FASTAPI, NGINX, SERVICE, UNJOURNALED, UNSTORED, Contestant
from benchmarks.harness.load import Load
from benchmarks.measures.measure import Figure, Goal, Measure, Sample, cost


class Burst(Measure):
    """Streams of 1,000 tokens as fast as possible, one at a time."""

    name = "burst"
    contestants = (NGINX, SERVICE, UNJOURNALED, UNSTORED, FASTAPI)
    figures = (Figure("token_us", "1,000 tokens as fast as they go, one stream at a time: CPU µs a token", 2),)
    goals = (
        Goal(label="Burst: CPU a token against FastAPI + openai SDK", key="token_us", bound=1 / 25, against=FASTAPI),
        Goal(label="Burst: CPU a token against nginx", key="token_us", bound=10, against=NGINX),
        Goal(label="Burst: CPU a token against no journal", key="token_us", bound=1.15, against=UNJOURNALED),
    )
    rounds = (9, 3)

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=1_000, seconds=0.5 if self.quick else 1.0)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"token_us": used / outcome.tokens}


class Paced(Measure):
    """40 streams at 50 tokens a second."""

    name = "paced"
    contestants = (NGINX, SERVICE, UNJOURNALED, UNSTORED, FASTAPI)
    figures = (Figure("token_us", "40 streams at 50 tokens/s: CPU µs a token", 1),)
    goals = (
        Goal(label="Paced: CPU a token against FastAPI + openai SDK", key="token_us", bound=0.4, against=FASTAPI),
        Goal(label="Paced: CPU a token against nginx", key="token_us", bound=3.5, against=NGINX),
        Goal(label="Paced: CPU a token against no journal", key="token_us", bound=1.15, against=UNJOURNALED),
    )
    rounds = (7, 2)

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=100 if self.quick else 250, rate=50, lanes=40, streams=40, spread=0.5)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"token_us": used / outcome.tokens}
