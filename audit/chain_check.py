"""The check of the entries: their order, their hashes, and the contents that they commit to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from audit import hashing
from audit.chain import Head
from audit.covered import Covered
from audit.models import AuditEntry
from audit.problems import Entry, Problem, entries, entries_after
from audit.records import Content, Facet
from audit.snapshot import snapshot

ERASURE: Final = "owner.erased"
"""The kind of the entry after which earlier entries of its owner have no salt."""

Report = Callable[[int, int], None]
"""Receives the number of checked entries, and of all."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The number of checked entries, and of those among them that were erased, and the last one."""

    entries: int
    erased: int
    head: Head
    problem: Problem | None = None


def check_entries(covered: Sequence[Covered], start: int, report: Report) -> Checked:
    """Check the entries from the number `start` on, up to those that were there when this began."""
    end = AuditEntry.objects.order_by("-number").values_list("number", flat=True).first() or 0
    before = next(entries(number=start - 1), None) if start > 1 else None
    head = Head(number=0, hash=hashing.FIRST.hex(), time=None)
    if before is not None:
        head = Head(number=before.number, hash=before.hash.hex(), time=before.time)
    elif start > 1:
        missing = Problem(number=start - 1, kind="", subject="", problem="It does not exist.")
        return Checked(entries=0, erased=0, head=head, problem=missing)
    count = erased = 0
    while head.number < end:
        with snapshot():
            batch = entries_after(head.number, end)
            problem = _first_problem(batch, head, covered)
        if problem is not None:
            return Checked(entries=count, erased=erased, head=head, problem=problem)
        count += len(batch)
        erased += sum(entry.salt is None for entry in batch)
        head = Head(number=batch[-1].number, hash=batch[-1].hash.hex(), time=batch[-1].time)
        report(head.number, end)
    return Checked(entries=count, erased=erased, head=head)


def _first_problem(batch: Sequence[Entry], head: Head, covered: Sequence[Covered]) -> Problem | None:
    number, previous = head.number, bytes.fromhex(head.hash)
    contents = contents_of(batch, covered)
    existing = Existing.of(batch, covered)
    erasures = _last_numbers(ERASURE, "owner", {entry.owner for entry in batch if entry.salt is None})
    for entry in batch:
        number += 1
        problem = entry.chain_problem(number, previous) or _content_problem(entry, contents, existing, erasures)
        if problem:
            return entry.problem(problem)
        previous = entry.hash
    return None


def _content_problem(
    entry: Entry,
    contents: Mapping[str, Mapping[str, Content]],
    existing: "Existing",
    erasures: Mapping[str, int],
) -> str:
    if existing.is_lost(entry):
        return "Its record is gone, and no entry reports a deletion."
    if entry.salt is None:
        is_erased = not entry.detail and erasures.get(entry.owner, 0) > entry.number
        return "" if is_erased else "Its salt is gone, and no entry reports an erasure of its owner."
    if entry.kind in contents:
        if entry.detail:
            return "It was changed: it has a detail, which its kind has not."
        found = contents[entry.kind].get(entry.subject)
        if found is None:
            # The record was deleted, and its content with it.
            return ""
        content = found.encoded
    else:
        content = entry.detail.encode()
    if hashing.commitment(entry.salt, content) == entry.commitment:
        return ""
    return (
        "Its record was changed, or its salt: the content is not the one that was committed to."
        if entry.kind in contents
        else "It was changed: its detail or its salt is not the one that was committed to."
    )


def contents_of(batch: Sequence[Entry], covered: Sequence[Covered]) -> dict[str, dict[str, Content]]:
    """Return the contents that entries commit to, by kind and subject."""
    kinds = {kind: facet for one in covered for kind, facet in one.committed.items()}
    subjects: dict[Facet, set[str]] = {}
    for entry in batch:
        if entry.kind in kinds and entry.salt is not None:
            subjects.setdefault(kinds[entry.kind], set()).add(entry.subject)
    found = {facet: facet.read(those) for facet, those in subjects.items()}
    return {kind: found.get(facet, {}) for kind, facet in kinds.items()}


class Existing:
    """The records of some entries that exist, and those that an entry says were deleted."""

    def __init__(self, present: Mapping[str, set[str]], deleted: Mapping[str, Mapping[str, int]]) -> None:
        self._present = present
        self._deleted = deleted

    @classmethod
    def of(cls, batch: Sequence[Entry], covered: Sequence[Covered]) -> "Existing":
        """Look for the records of some entries. Raises the database's errors."""
        present, deleted = {}, {}
        for one in covered:
            subjects = {entry.subject for entry in batch if entry.kind.partition(".")[0] == one.name}
            present[one.name] = set(Facet(one.model).read(subjects))
            deleted[one.name] = _last_numbers(one.deleted, "subject", subjects - present[one.name])
        return cls(present, deleted)

    def is_lost(self, entry: Entry) -> bool:
        """Return whether the record is gone without an entry about that."""
        name = entry.kind.partition(".")[0]
        if name not in self._present or entry.subject in self._present[name]:
            return False
        return self._deleted[name].get(entry.subject, 0) < entry.number


def _last_numbers(kind: str, field: str, values: Iterable[Any]) -> dict[str, int]:
    """Return the number of the last entry of a kind for each value of a field."""
    rows = AuditEntry.objects.filter(kind=kind, **{f"{field}__in": list(values)}).order_by("number")
    return dict(rows.values_list(field, "number"))
