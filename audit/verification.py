"""The verification of the chain and of the records that it covers, in bounded memory."""

from collections.abc import Callable, Sequence

import msgspec

from audit.chain import Head
from audit.chain_check import check_entries
from audit.covered import Covered
from audit.problems import Problem, entries
from audit.record_check import CheckedRecords, check_records

Report = Callable[[str, int], None]
"""Receives the kind of record or entry that is checked, and the number checked so far."""


class SavedHead(msgspec.Struct, frozen=True, kw_only=True):
    """The number and the hash of an entry, as they were kept elsewhere."""

    number: int
    hash: str

    def problem(self) -> Problem | None:
        """Return the problem if the chain does not contain it. Raises the database's errors."""
        entry = next(entries(number=self.number), None)
        if entry is None:
            text = "It was saved as the head of the chain, and is gone: the end of the chain was removed."
            return Problem(number=self.number, kind="", subject="", problem=text)
        if entry.hash.hex() != self.hash:
            return entry.problem("Its hash is not the saved one: the chain was written again.")
        return None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result: the last entry, numbers of entries and records, and the first problem, if there is one."""

    head: Head
    entries: int
    erased: int
    records: tuple[CheckedRecords, ...] = ()
    problem: Problem | None = None


def verify(covered: Sequence[Covered], *, start: int, saved: SavedHead | None, report: Report) -> Verified:
    """Check the entries from the number `start` on, and all records if that is the first one.

    With a saved head, also check that the chain still contains it. Raises the database's errors.
    """
    checked = check_entries(covered, start, lambda number, _: report("entries", number))
    problem = checked.problem or (saved.problem() if saved else None)
    records: list[CheckedRecords] = []
    if problem is None and start == 1:
        for one in covered:
            found = check_records(one, report)
            records.append(found)
            problem = found.problem
            if problem is not None:
                break
    return Verified(
        head=checked.head,
        entries=checked.entries,
        erased=checked.erased,
        records=tuple(records),
        problem=problem,
    )
