"""The audit entries of keys: what each commits to."""

from collections.abc import Mapping
from typing import Any, Final

from access.models import ApiKey
from audit import chain, staff
from audit.chain import Change
from audit.covered import Covered
from audit.records import Facet

PROPERTIES: Final = Facet(
    ApiKey,
    "id",
    "name",
    "prefix",
    "sha256",
    "user",
    "scopes",
    "rate",
    "max_runs",
    "budgets",
    "made_by",
    "created",
    "expires",
)
REVOCATION: Final = Facet(ApiKey, "revoked")
# `last_used` is a hint that lags, and no record.
WHOLE: Final = Facet(ApiKey, *PROPERTIES.names, *REVOCATION.names)

CREATED: Final = "key.created"
REVOKED: Final = "key.revoked"
ERASED: Final = "key.erased"
DELETED: Final = "key.deleted"


def created(row: ApiKey, by: str) -> None:
    """Record a new key."""
    chain.record(Change(kind=CREATED, subject=str(row.pk), owner=row.owner, actor=by, facet=PROPERTIES))


def revoked(row: ApiKey, by: str) -> None:
    """Record a revocation."""
    change = Change(kind=REVOKED, subject=str(row.pk), owner=row.owner, actor=by, facet=REVOCATION, in_detail=True)
    chain.record(change)


def erased(row: ApiKey, by: str) -> None:
    """Record that the name of a key was erased."""
    chain.record(Change(kind=ERASED, subject=str(row.pk), owner=row.owner, actor=by, facet=WHOLE))


def deleted(row: ApiKey) -> None:
    """Record a deletion."""
    chain.record(Change(kind=DELETED, subject=str(row.pk), owner=row.owner, actor=staff.actor()))


def unrecorded(row: Mapping[str, Any], kinds: frozenset[str]) -> str:
    """Return the first column of a key that differs from what its entries of these kinds say; empty if none does."""
    return "revoked" if row["revoked"] is not None and not kinds & {REVOKED, ERASED} else ""


COVERED: Final = Covered(
    name="key",
    model=ApiKey,
    whole=WHOLE,
    created=frozenset({CREATED}),
    committed={CREATED: PROPERTIES, ERASED: WHOLE},
    kept={REVOKED: REVOCATION},
    unrecorded=unrecorded,
)
