"""Reservations before a call and settlements after it: sync functions, each part of a transaction of the writer."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from access.limits.budgets import MAX_AMOUNT
from spending.accounts import Amount, Line, accounts_of_run, accounts_of_session
from spending.models import Account, Reservation, Use
from storage.statements import Insert, Statement, Sum

_open = Statement(
    "INSERT INTO spending_accounts (name, spent, reserved, updated) VALUES (%s, 0, 0, %s) ON CONFLICT (name) DO NOTHING"
)
# A reserved amount counts as spent until it is settled, and the limit is part of the update's condition. Calls at the
# same time, in any process, therefore cannot exceed a limit together.
_reserve = Statement(
    "UPDATE spending_accounts SET reserved = reserved + %s, updated = %s "
    "WHERE name = %s AND spent + reserved + %s <= %s RETURNING spent"
)
_spend = Statement(
    "UPDATE spending_accounts SET spent = spent + %s, updated = %s "
    "WHERE name = %s AND spent + reserved + %s <= %s RETURNING spent"
)
_settle = Statement(
    "UPDATE spending_accounts SET reserved = reserved - %s, spent = spent + %s, updated = %s WHERE name = %s"
)
# Deleted as it is read, so a reservation is settled at most once.
_take_back = Statement("DELETE FROM spending_reservations WHERE run = %s RETURNING amounts")
_insert_reservation = Insert(Reservation, "run", "amounts", "created")
_add_use = Sum(Use, key=Use.KEY, sums=Use.SUMS)


class Reserved(msgspec.Struct, frozen=True):
    """The amount is reserved on every line; `spent` are the amounts spent before, in the same order."""

    spent: tuple[int, ...]


class Refused(msgspec.Struct, frozen=True):
    """No amount is reserved: this line has too little left, or the cost in its unit is unknown."""

    line: Line
    spent: int


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of calls of a model or tool, or of a part of a run, with its owner.

    `nanos` is None if a price is unknown. `first_token_milliseconds` is None if there was no token.
    """

    owner: str
    key: str
    provider: str = ""
    model: str = ""
    tool: str = ""
    failed: bool = False
    estimated: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    nanos: int | None = 0
    milliseconds: int = 0
    calls: int = 1
    runs: int = 0
    run_milliseconds: int = 0
    first_token_milliseconds: int | None = None


def reserve(run_id: UUID, lines: Sequence[Line], most: Amount, now: datetime) -> Reserved | Refused:
    """Reserve the maximum cost of a run's next call on all of its lines, or on none.

    Settle the reservation of the run's previous call first.
    """
    taken: list[tuple[Line, int]] = []
    spent: list[int] = []
    for line in lines:
        amount = most.of(line.unit)
        before = None if amount is None else _take(_reserve, line, amount, now)
        if amount is None or before is None:
            # The transaction still commits, with other jobs of the writer, so the reserved amounts are given back.
            for other, set_aside in taken:
                _settle.later(set_aside, 0, now, other.account)
            return Refused(line, spent_on(line.account))
        taken.append((line, amount))
        spent.append(before)
    amounts = [(line.account, line.unit, amount) for line, amount in taken]
    _insert_reservation([(run_id, amounts, now)])
    return Reserved(tuple(spent))


def settle(run_id: UUID, cost: Amount | None, now: datetime) -> None:
    """Book the actual cost of a run's call and release its reservation; None books the reserved amount."""
    reservations = [tuple(entry) for (amounts,) in _take_back(run_id) for entry in msgspec.json.decode(amounts)]
    for account, unit, reserved in reservations:
        actual = cost.of(unit) if cost is not None else None
        # An unknown cost is booked as reserved: a budget may then be used up early, but it is never exceeded.
        booked = reserved if actual is None else min(actual, MAX_AMOUNT)
        _settle.later(reserved, booked, now, account)


def spend(lines: Iterable[Line], cost: Amount, now: datetime) -> Line | None:
    """Book a cost that is known beforehand on all lines, or on none.

    Returns the line that has too little left, or in whose unit the cost is unknown; None if the cost is booked.
    """
    booked: list[tuple[Line, int]] = []
    for line in lines:
        amount = cost.of(line.unit)
        if amount is None or (amount and _take(_spend, line, amount, now) is None):
            for other, spent in booked:
                _settle.later(0, -spent, now, other.account)
            return line
        booked.append((line, amount))
    return None


def give_back(lines: Iterable[Line], cost: Amount, now: datetime) -> None:
    """Return a cost that was booked for a call that the vendor rejected."""
    for line in lines:
        if amount := cost.of(line.unit):
            _settle.later(0, -amount, now, line.account)


def spent_on(account: str) -> int:
    return Account.objects.filter(name=account).values_list("spent", flat=True).first() or 0


def add(used: Iterable[Used], now: datetime) -> None:
    """Add calls to the usage of their day."""
    _add_use(
        (
            now.date(),
            one.owner,
            one.key,
            one.provider,
            one.model,
            one.tool,
            one.calls,
            int(one.failed),
            int(one.estimated),
            int(one.nanos is None),
            one.input_tokens,
            one.output_tokens,
            one.cached_tokens,
            one.reasoning_tokens,
            min(one.nanos or 0, MAX_AMOUNT),
            one.milliseconds,
            one.runs,
            one.run_milliseconds,
            int(one.first_token_milliseconds is not None),
            one.first_token_milliseconds or 0,
        )
        for one in used
    )


def forget_run(run_id: UUID) -> None:
    """Delete the accounts of a run that has ended."""
    Account.objects.filter(name__in=accounts_of_run(run_id)).delete()


def forget_session(session_id: UUID) -> None:
    """Delete the accounts of a deleted session."""
    Account.objects.filter(name__in=accounts_of_session(session_id)).delete()


def _take(statement: Statement, line: Line, amount: int, now: datetime) -> int | None:
    """Run the statement for a line, and return the amount spent before; None if too little is left."""
    values = (amount, now, line.account, amount, line.limit)
    taken = statement(*values)
    # Without a row the account has too little left, or does not exist yet. Most accounts exist, so one is opened here.
    if not taken:
        _open.later(line.account, now)
        taken = statement(*values)
    return int(taken[0][0]) if taken else None
