"""The check of the records: each has its entries, and is as the newest of them say."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

import msgspec

from audit import hashing
from audit.covered import Covered
from audit.models import AuditEntry
from audit.problems import Entry, Problem, entries
from audit.records import Content
from audit.snapshot import confirmed, snapshot

BEGAN: Final = "chain.began"
"""The kind of the first entry of a database that had rows before: it has their numbers."""

Report = Callable[[str, int], None]
"""Receives the name of a kind of records, and the number of those that were checked."""


Look = tuple[Mapping[str, Content], Mapping[str, Sequence[Entry]], Problem | None]
"""The contents of records, their entries, and the first problem."""


class CheckedRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The number of records of one kind, and of those among them that are older than the chain."""

    name: str
    records: int
    before: int
    problem: Problem | None = None


def check_records(covered: Covered, report: Report) -> CheckedRecords:
    """Check all records of a kind."""
    # Only their number may be wrong because rows were added or removed since they were counted.
    return confirmed(
        lambda: _check_all(covered, report),
        lambda found: found.problem if found.problem and found.problem.number is None else None,
    )


def _check_all(covered: Covered, report: Report) -> CheckedRecords:
    count = older = 0
    newest_older = ""
    for subjects in covered.subjects():
        rows, found, problem = confirmed(partial(_look_at, covered, subjects), itemgetter(2))
        if problem is not None:
            return CheckedRecords(name=covered.name, records=count, before=older, problem=problem)
        without = [one for one in rows if covered.created.isdisjoint(entry.kind for entry in found[one])]
        count, older = count + len(rows), older + len(without)
        newest_older = without[-1] if without else newest_older
        report(covered.name, count)
    problem = _older_problem(covered, older, newest_older)
    return CheckedRecords(name=covered.name, records=count, before=older, problem=problem)


def _look_at(covered: Covered, subjects: Sequence[str]) -> Look:
    with snapshot():
        rows = covered.whole.read(subjects)
        found = _entries_of(covered, subjects)
        return rows, found, _first_problem(covered, rows, found)


def _entries_of(covered: Covered, subjects: Sequence[str]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {subject: [] for subject in subjects}
    for entry in entries(subject__in=list(subjects), kind__startswith=f"{covered.name}."):
        found[entry.subject].append(entry)
    return found


def _first_problem(
    covered: Covered, rows: Mapping[str, Content], found: Mapping[str, Sequence[Entry]]
) -> Problem | None:
    newest: dict[str, dict[Any, Entry]] = {subject: {} for subject in rows}
    for subject in rows:
        for entry in found[subject]:
            if entry.kind == covered.deleted:
                return entry.problem("The record is there, although this entry reports its deletion.")
            if entry.kind in covered.kept:
                newest[subject][covered.kept[entry.kind]] = entry
    current = {source: source.read(list(rows)) for source in set(covered.kept.values())}
    for subject, row in rows.items():
        kinds = frozenset(entry.kind for entry in found[subject])
        for source, entry in newest[subject].items():
            replaced = kinds & covered.replaces.get(entry.kind, frozenset())
            content = current[source].get(subject)
            if entry.salt is None or replaced or content is None:
                continue
            if content.encoded != entry.detail.encode():
                return entry.problem("Its record was changed since: it is not what this entry says.")
        if kinds & covered.created and (column := covered.unrecorded(row.values, kinds)):
            text = f"Its {column} was changed, and no entry reports that."
            first = found[subject][0]
            return Problem(number=first.number, kind=first.kind, subject=subject, problem=text)
    return None


def _older_problem(covered: Covered, older: int, newest: str) -> Problem | None:
    """Compare the number of records without a first entry with that of the records before the chain."""
    began = next(entries(number=1), None)
    known = 0
    if began is not None and began.kind == BEGAN and began.detail:
        known = hashing.document(began.detail).get(covered.name, 0)
    deletions = AuditEntry.objects.filter(kind=covered.deleted)
    of_chain = AuditEntry.objects.filter(kind__in=covered.created).values("subject")
    known -= deletions.exclude(subject__in=of_chain).values("subject").distinct().count()
    if older == known:
        return None
    text = (
        f"{older - known} records have no entry, this one among them."
        if older > known
        else f"{known - older} records that are older than the chain are gone, and no entry reports a deletion."
    )
    return Problem(number=None, kind=covered.name, subject=newest, problem=text)
