"""The budget of one run: reserved in the ledger before each model call, and settled with the call's usage.

Reservations and settlements are rows of the database. The runs of all processes together therefore stay within a
budget, and a dead process's reservations can be found.
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
from chat.engine.context.window import Count
from chat.engine.events import BudgetUsed, Usage
from chat.engine.model_port import TokensUsed
from chat.engine.retry import Candidate, ModelCall
from chat.engine.tool_calls import LimitReached
from chat.pricing.token_bounds import most_tokens
from spending import ledger
from spending.accounts import NOTHING, Amount, Line, Payer, lines

NEARLY_USED_PERCENT: Final = 80
"""The share of a budget from which on its use is reported."""

MAX_INLINE_CHARS: Final = 256 * 1_024
"""Characters of a request whose tokens are counted in the event loop; longer ones are counted in a thread."""

Record = Callable[[], None]


class PriceUnknown(Exception):
    """A budget in USD applies to the run, but the price of its model is unknown."""


class Commit(Protocol):
    """Commits a job if this process still owns the run. Raises `StorageUnavailable`."""

    def __call__(self, job: Callable[[], Any], /) -> Awaitable[Any]: ...


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """The prices, the token counter and the service's own budgets, which apply to all runs."""

    price: Price
    count: Count
    budgets: tuple[Budget, ...] = ()

    def load(self, provider: str, model: str) -> None:
        """Load the price data, which takes 0.3 s the first time."""
        self.price(provider, model, TokensUsed(input_tokens=0, output_tokens=0))


class RunBudget:
    """The budgets that apply to one run, and its spending. Each budget is reported as nearly used up once.

    `candidate` is the model of the newest call. `on_call` is called before each model call, and `settled` waits until
    everything before it is stored.
    """

    def __init__(self, run_id: UUID, payer: Payer, tariff: Tariff, commit: Commit) -> None:
        self.candidate: Candidate | None = None
        self.on_call: Callable[[ModelCall], None] | None = None
        self.settled: Callable[[], Awaitable[None]] | None = None
        self._run_id = run_id
        self._payer = payer
        self._tariff = tariff
        self._commit = commit
        self._day: date | None = None
        self._lines_of_day: tuple[Line, ...] = ()
        self._open: tuple[tuple[Line, int], ...] = ()
        self._has_reservation = False
        self._reported: set[str] = set()
        self._prepared: tuple[tuple[Line, ...], ledger.Reserved | ledger.Refused] | None = None

    @property
    def is_bound(self) -> bool:
        """True if any budget applies to the run."""
        return bool(self._payer.budgets or self._tariff.budgets)

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raise `PriceUnknown` if a USD budget applies, but the first candidate's price is unknown."""
        budgets = (*self._payer.budgets, *self._tariff.budgets)
        if candidates and any(budget.unit == "usd" for budget in budgets):
            first = candidates[0]
            if self._cost(first, TokensUsed(input_tokens=1, output_tokens=1)).nanos is None:
                raise PriceUnknown(
                    f"The price of {first.provider.name}'s {first.model} is unknown, and a budget in usd applies to "
                    "this call. Name another model, or add the price to MODEL_PRICES."
                )

    async def begin_reserved(self, call: ModelCall, max_output: int, begin: Record) -> Record:
        """Return a job that begins the run and reserves for its first call in the same transaction."""
        now = timezone.now()
        drawn = self._lines(now)
        maximum = await self._maximum(call, max_output)

        def begin_and_reserve() -> None:
            begin()
            self._prepared = drawn, ledger.reserve(self._run_id, drawn, maximum, now)

        self._has_reservation = True
        return begin_and_reserve

    async def reserve(self, call: ModelCall, max_output: int) -> Sequence[BudgetUsed]:
        """Reserve for the call, as `chat.engine.budget_port.Budget` specifies."""
        self.candidate = call.candidate
        now = timezone.now()
        drawn = self._lines(now)
        events: Sequence[BudgetUsed] = await self._reserve(call, max_output, drawn, now) if drawn else ()
        if self.on_call is not None:
            self.on_call(call)
        return events

    async def _reserve(
        self, call: ModelCall, max_output: int, drawn: tuple[Line, ...], now: datetime
    ) -> Sequence[BudgetUsed]:
        if self._prepared is not None:
            (drawn, outcome), self._prepared = self._prepared, None
        else:
            maximum = await self._maximum(call, max_output)
            if self.settled is not None:
                # Without a tool between two calls, the settlement of the first one may not be stored yet. It would
                # settle the reservation of the second one.
                await self.settled()
            # Set before the commit: if the run is stopped while it waits here, its end still releases the reservation.
            repeated, self._has_reservation = self._has_reservation, True

            def reserve() -> ledger.Reserved | ledger.Refused:
                if repeated:
                    # A retry replaces the reservation of the attempt before it, which cost nothing.
                    ledger.settle(self._run_id, NOTHING, now)
                return ledger.reserve(self._run_id, drawn, maximum, now)

            outcome = await self._commit(reserve)
        if isinstance(outcome, ledger.Refused):
            self._open, self._has_reservation = (), False
            raise LimitReached("budget_exceeded", [_event(outcome.line, outcome.spent)])
        self._open = tuple(zip(drawn, outcome.spent, strict=True))
        return tuple(self._nearly_used(self._open))

    def usage_events(self, usage: Usage) -> Sequence[BudgetUsed]:
        """Return an event for each budget that is nearly used up by the call."""
        amount = _amount(usage.cost_usd, usage.input_tokens + usage.output_tokens)
        after = [(line, spent + (amount.of(line.unit) or 0)) for line, spent in self._open]
        return tuple(self._nearly_used(after))

    def settlement(self, usage: Usage) -> Record:
        """Return a job that books the call's usage in place of its reservation."""
        reserved, self._open, self._has_reservation = self._has_reservation, (), False
        # The run may call another model before the job runs.
        candidate = self.candidate

        def settle() -> None:
            now = timezone.now()
            amount = _amount(usage.cost_usd, usage.input_tokens + usage.output_tokens)
            if reserved:
                ledger.settle(self._run_id, amount, now)
            used = ledger.Used(
                owner=self._payer.owner,
                key=self._payer.key,
                provider=candidate.provider.name if candidate else "",
                model=candidate.model if candidate else "",
                estimated=usage.estimated,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=usage.cached_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                nanos=amount.nanos,
            )
            ledger.add([used], now)

        return settle

    def timing(self, seconds: float, first_token_seconds: float | None, *, is_over: bool) -> Record | None:
        """Return a job that counts the time of a part of the run, up to its end or a wait; None without a call."""
        candidate = self.candidate
        if candidate is None:
            return None
        used = ledger.Used(
            owner=self._payer.owner,
            key=self._payer.key,
            provider=candidate.provider.name,
            model=candidate.model,
            # The model's calls have been counted with their tokens.
            calls=0,
            runs=int(is_over),
            run_milliseconds=round(seconds * 1_000),
            first_token_milliseconds=None if first_token_seconds is None else round(first_token_seconds * 1_000),
        )
        return lambda: ledger.add([used], timezone.now())

    def closing(self) -> Record | None:
        """Return a job that releases the remaining reservation and deletes the run's own accounts, or None."""
        has_own_accounts = any(line.scope == "run" for line in self._lines(timezone.now()))

        def close() -> None:
            ledger.settle(self._run_id, NOTHING, timezone.now())
            if has_own_accounts:
                ledger.forget_run(self._run_id)

        return close if self._has_reservation or has_own_accounts else None

    async def _maximum(self, call: ModelCall, max_output: int) -> Amount:
        """Return the maximum cost of the call."""
        size = sum(len(str(message)) for message in call.request.messages)
        count = partial(most_tokens, call.request, self._tariff.count)
        input_tokens = count() if size <= MAX_INLINE_CHARS else await asyncio.to_thread(count)
        output_tokens = min(max_output, call.candidate.context_tokens)
        used = TokensUsed(input_tokens=input_tokens, output_tokens=output_tokens)
        # A service may write the whole input to its cache, which costs more with some of them.
        written = msgspec.structs.replace(used, cache_write_tokens=input_tokens)
        return max((self._cost(call.candidate, each) for each in (used, written)), key=lambda cost: cost.nanos or 0)

    def _lines(self, now: datetime) -> tuple[Line, ...]:
        if not self.is_bound:
            return ()
        # A budget of a day or a month has another account from midnight UTC on.
        if self._day != now.date():
            self._day = now.date()
            self._lines_of_day = lines(self._payer, self._tariff.budgets, now)
        return self._lines_of_day

    def _cost(self, candidate: Candidate, used: TokensUsed) -> Amount:
        cost = self._tariff.price(candidate.provider.name, candidate.model, used)
        return _amount(cost, used.input_tokens + used.output_tokens)

    def _nearly_used(self, spent: Sequence[tuple[Line, int]]) -> Iterator[BudgetUsed]:
        for line, so_far in spent:
            if so_far * 100 >= line.limit * NEARLY_USED_PERCENT and line.account not in self._reported:
                self._reported.add(line.account)
                yield _event(line, so_far)


def _amount(cost_usd: float | None, tokens: int) -> Amount:
    # Rounded up, so that a call never counts as less than its cost.
    return Amount(nanos=None if cost_usd is None else ceil(cost_usd * NANO), tokens=tokens)


def _event(line: Line, spent: int) -> BudgetUsed:
    whole = NANO if line.unit == "usd" else 1
    return BudgetUsed(scope=line.scope, span=line.span, spent=spent / whole, limit=line.limit / whole, unit=line.unit)
