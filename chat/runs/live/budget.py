"""What one run may spend: reserved in the ledger before each call of a model, and settled beside what it said.

The first reservation of a call and its settlement are rows of the database, so that runs of all processes together
pass no budget, and a dead run's reservation is found.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from math import ceil
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from django.utils import timezone

from access.limits.budgets import NANO, Budget
from chat.engine.answer import Price
from chat.engine.events import BudgetUsed, Usage
from chat.engine.model_port import TokensUsed
from chat.engine.retry import Asked, Candidate
from chat.engine.token_estimate import Count, request_tokens
from chat.engine.tool_calls import LimitReached
from spending import ledger
from spending.accounts import NOTHING, Amount, Line, Payer, lines

NEARLY: Final = 80
"""The hundredths of a budget behind which its use is told."""

MAX_COUNTED_HERE: Final = 256 * 1_024
"""Characters of a request that are counted in the event loop; a longer one has a thread."""

Record = Callable[[], None]


class PriceUnknown(Exception):
    """A budget of money holds for a run, and the price of its model is not known."""


class Keep(Protocol):
    """Commits a job, while the run is this process's. Raises `StorageUnavailable`."""

    def __call__(self, job: Callable[[], Any], /) -> Awaitable[Any]: ...


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all runs: prices, how tokens are counted, and the service's own budgets."""

    price: Price
    count: Count
    budgets: tuple[Budget, ...] = ()


class RunBudget:
    """One run's. `keep` commits; the events that it returns are told once for each budget."""

    def __init__(self, run_id: UUID, payer: Payer, tariff: Tariff, keep: Keep) -> None:
        self._run_id = run_id
        self._payer = payer
        self._tariff = tariff
        self._keep = keep
        self.asking: Callable[[Asked], None] | None = None
        """Called before each call of a model."""

        self._day: date | None = None
        self._drawn: tuple[Line, ...] = ()
        self._asked: Candidate | None = None
        self._open: tuple[tuple[Line, int], ...] = ()
        self._holds = False
        self._told: set[str] = set()
        self._ready: tuple[tuple[Line, ...], ledger.Reserved | ledger.Refused] | None = None

    @property
    def asked(self) -> Candidate | None:
        """Whose answer is on its way, or came last."""
        return self._asked

    @property
    def is_bound(self) -> bool:
        """Whether any budget holds for the run."""
        return bool(self._payer.budgets or self._tariff.budgets)

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raises `PriceUnknown` where nothing that the first of them could say would be paid for."""
        budgets = (*self._payer.budgets, *self._tariff.budgets)
        if candidates and any(budget.unit == "usd" for budget in budgets):
            first = candidates[0]
            if self._cost(first, TokensUsed(input_tokens=1, output_tokens=1)).nanos is None:
                raise PriceUnknown(
                    f"The price of {first.provider.name}'s {first.model} is not known, and a budget in usd holds for "
                    "this call: name another model, or its price in MODEL_PRICES."
                )

    async def reserving(self, asked: Asked, max_output: int, begin: Record) -> Record:
        """A job that begins the run, and reserves for its first call in the same transaction."""
        now = timezone.now()
        drawn = self._lines(now)
        most = self._cost(asked.candidate, await self._most(asked, max_output))

        def begin_and_reserve() -> None:
            begin()
            self._ready = drawn, ledger.reserve(self._run_id, drawn, most, now)

        self._holds = True
        return begin_and_reserve

    async def reserve(self, asked: Asked, max_output: int) -> Sequence[BudgetUsed]:
        """As `chat.engine.budget_port.Purse` says."""
        told = await self._reserve_for(asked, max_output)
        if self.asking is not None:
            self.asking(asked)
        return told

    async def _reserve_for(self, asked: Asked, max_output: int) -> Sequence[BudgetUsed]:
        self._asked = asked.candidate
        now = timezone.now()
        drawn = self._lines(now)
        if not drawn:
            return ()
        if self._ready is not None:
            (drawn, outcome), self._ready = self._ready, None
        else:
            most = self._cost(asked.candidate, await self._most(asked, max_output))
            again, self._holds = self._holds, True  # also where the run is stopped while it waits for this
            outcome = await self._keep(partial(self._reserve, drawn, most, now, again=again))
        if isinstance(outcome, ledger.Refused):
            self._open, self._holds = (), False
            raise LimitReached("budget_exceeded", [_told(outcome.line, outcome.spent)])
        self._open = tuple(zip(drawn, outcome.spent, strict=True))
        return tuple(self._nearly_used(self._open))

    def settled(self, usage: Usage) -> Sequence[BudgetUsed]:
        """What is to be told of budgets once a call has cost what it did."""
        amount = _amount(usage.cost_usd, usage.input_tokens + usage.output_tokens)
        after = [(line, spent + (amount.of(line.unit) or 0)) for line, spent in self._open]
        return tuple(self._nearly_used(after))

    def settlement(self, usage: Usage) -> Record:
        """Writes down what the call took, in place of what was reserved for it."""
        reserved, self._open, self._holds = self._holds, (), False
        return partial(self._settle, usage, self._asked, reserved=reserved)

    def closing(self) -> Record | None:
        """Gives back what is reserved still, and forgets the run's own accounts; None where there is nothing of it."""
        own = any(line.scope == "run" for line in self._lines(timezone.now()))
        return partial(self._close, own=own) if self._holds or own else None

    def _reserve(
        self, drawn: Sequence[Line], most: Amount, now: datetime, *, again: bool
    ) -> ledger.Reserved | ledger.Refused:
        """For a further attempt, in place of what the one before it had reserved."""
        if again:
            ledger.settle(self._run_id, NOTHING, now)
        return ledger.reserve(self._run_id, drawn, most, now)

    def _settle(self, usage: Usage, asked: Candidate | None, *, reserved: bool) -> None:
        now = timezone.now()
        amount = _amount(usage.cost_usd, usage.input_tokens + usage.output_tokens)
        if reserved:
            ledger.settle(self._run_id, amount, now)
        used = ledger.Used(
            owner=self._payer.owner,
            key=self._payer.key,
            provider=asked.provider.name if asked else "",
            model=asked.model if asked else "",
            estimated=usage.estimated,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            nanos=amount.nanos,
        )
        ledger.add([used], now)

    def _close(self, *, own: bool) -> None:
        ledger.settle(self._run_id, NOTHING, timezone.now())
        if own:
            ledger.forget_run(self._run_id)

    async def _most(self, asked: Asked, max_output: int) -> TokensUsed:
        size = sum(len(str(message)) for message in asked.request.messages)
        counted = partial(request_tokens, asked.request, self._tariff.count)
        asks = counted() if size <= MAX_COUNTED_HERE else await asyncio.to_thread(counted)
        return TokensUsed(input_tokens=asks, output_tokens=min(max_output, asked.candidate.context_tokens))

    def _lines(self, now: datetime) -> tuple[Line, ...]:
        """Those of the day."""
        if not self.is_bound:
            return ()
        if self._day != now.date():
            self._day = now.date()
            self._drawn = lines(self._payer, self._tariff.budgets, now)
        return self._drawn

    def _cost(self, candidate: Candidate, used: TokensUsed) -> Amount:
        cost = self._tariff.price(candidate.provider.name, candidate.model, used)
        return _amount(cost, used.input_tokens + used.output_tokens)

    def _nearly_used(self, spent: Sequence[tuple[Line, int]]) -> Iterator[BudgetUsed]:
        for line, so_far in spent:
            if so_far * 100 >= line.limit * NEARLY and line.account not in self._told:
                self._told.add(line.account)
                yield _told(line, so_far)


def _amount(cost_usd: float | None, tokens: int) -> Amount:
    return Amount(nanos=None if cost_usd is None else ceil(cost_usd * NANO), tokens=tokens)


def _told(line: Line, spent: int) -> BudgetUsed:
    whole = NANO if line.unit == "usd" else 1
    return BudgetUsed(scope=line.scope, span=line.span, spent=spent / whole, limit=line.limit / whole, unit=line.unit)
