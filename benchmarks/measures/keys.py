"""The cost of authentication and limits."""

from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import KEYED, SERVICE, Contestant
from benchmarks.harness.load import Load
from benchmarks.measures.measure import Figure, Goal, Measure, Sample, cost


class Keys(Measure):
    """Turns of 20 tokens without a key, and with a key that has a rate, a maximum of runs and a budget."""

    name = "keys"
    contestants = (SERVICE,)
    figures = (
        Figure("open_ms", "A turn of 20 tokens without a key: CPU ms", 2),
        Figure("keyed_ms", "the same with a key, its scopes, two rates and two budgets", 2),
        Figure("more_ms", "which is more by", 2),
    )
    goals = (Goal(label="Authentication, scopes, limits and budget: CPU ms more a turn", key="more_ms", bound=0.3),)
    rounds = (9, 3)

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=20, seconds=0.5 if self.quick else 1.5)
        # Both forms are measured within the same round, so that a change of the machine's speed hits both.
        used = {}
        for form in (SERVICE, KEYED):
            outcome, microseconds = await cost(await arena.running(form), load)
            used[form] = microseconds / outcome.streams / 1_000
        return {"open_ms": used[SERVICE], "keyed_ms": used[KEYED], "more_ms": used[KEYED] - used[SERVICE]}
