"""The accounts that a run draws on: one for each subject, unit and period of the budgets that apply to it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from access.caller import OPERATOR, Caller
from access.limits.budgets import UNITS, Budget, Span, Unit, budget

Scope = Literal["run", "session", "key", "service"]


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """The owner and key that calls are charged to. `key` is the key's id, or `operator`; `budgets` are the key's own.

    Without a run, no budget of runs and sessions applies.
    """

    owner: str
    key: str = OPERATOR
    run_id: UUID | None = None
    session_id: UUID | None = None
    budgets: tuple[Budget, ...] = ()


def payer(caller: Caller, run_id: UUID | None = None, session_id: UUID | None = None) -> Payer:
    return Payer(
        owner=caller.owner,
        key=str(caller.key or OPERATOR),
        run_id=run_id,
        session_id=session_id,
        budgets=tuple(map(budget, caller.budgets)),
    )


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A budget of one run: at most `limit` on `account`."""

    account: str
    limit: int
    unit: Unit
    scope: Scope
    span: Span


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A cost in billionths of a dollar, and in tokens. `nanos` is None if the price is unknown."""

    nanos: int | None
    tokens: int

    def of(self, unit: Unit) -> int | None:
        return self.nanos if unit == "usd" else self.tokens


NOTHING = Amount(nanos=0, tokens=0)


def lines(payer: Payer, service: Iterable[Budget], now: datetime) -> tuple[Line, ...]:
    """Return the lines of a call at `now` (UTC), sorted by account; of two for one account, the lower."""
    # Sorted, because two transactions that lock the same accounts in different orders would deadlock.
    lowest: dict[str, Line] = {}
    for line in (*_lines(payer, service, "service", now), *_lines(payer, payer.budgets, "key", now)):
        known = lowest.get(line.account)
        if known is None or line.limit < known.limit:
            lowest[line.account] = line
    return tuple(lowest[account] for account in sorted(lowest))


def accounts_of_run(run_id: UUID) -> list[str]:
    return [f"run:{run_id}:{unit}" for unit in UNITS]


def accounts_of_session(session_id: UUID) -> list[str]:
    return [f"session:{session_id}:{unit}" for unit in UNITS]


def _lines(payer: Payer, budgets: Iterable[Budget], whose: Literal["key", "service"], now: datetime) -> Iterator[Line]:
    subjects: dict[Scope, str] = {
        "run": f"run:{payer.run_id}",
        "session": f"session:{payer.session_id}",
        "key": f"key:{payer.key}",
        "service": "service",
    }
    for one in budgets:
        scope: Scope = one.span if one.span in {"run", "session"} else whose
        # Outside of a run or session there is no account that such a budget could limit.
        if {"run": payer.run_id, "session": payer.session_id}.get(scope, True) is None:
            continue
        subject = subjects[scope]
        # Each day and month has an account of its own, so a new period starts at zero without a reset.
        period = {"day": f"/{now.date()}", "month": f"/{now:%Y-%m}"}.get(one.span, "")
        yield Line(
            account=f"{subject}:{one.unit}{period}",
            limit=one.amount,
            unit=one.unit,
            scope=scope,
            span=one.span,
        )
