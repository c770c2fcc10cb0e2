"""The console's pages of the audit chain."""

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.models import AuditEntry
from console import cells, columns
from console.filters import BelongsToFilter, DayFilter, RecentValueFilter
from console.pages import ROWS, ReadOnlyAdmin

VIEW: Final = "audit.view_auditentry"


def _digits(field: str) -> columns.Column:
    """Return a field with bytes as hexadecimal digits."""

    def shown(row: AuditEntry) -> str:
        value = getattr(row, field)
        return cells.NOTHING if value is None else bytes(value).hex()

    return columns.column(field, shown)


_number = columns.number("number")
_time = columns.moment("time", sortable=True)
_kind = columns.text("kind")
_subject = columns.text("subject")
_owner = columns.text("owner")
_actor = columns.text("actor")
_whole = {"detail": lambda row: row.detail}


def entries_table(subject: str) -> str:
    """Return a table of the newest entries about a record, for its own page, oldest first."""
    found = AuditEntry.objects.filter(subject=subject)
    rows = [
        (
            cells.link("audit_auditentry", row.number, str(row.number)),
            _time(row),
            _kind(row),
            _actor(row),
            bytes(row.hash).hex()[:16],
        )
        for row in reversed(found.order_by("-number")[:ROWS])
    ]
    shown = cells.table(("Number", "Time", "Kind", "Actor", "Hash"), rows)
    return cells.with_rest(shown, "audit_auditentry", len(rows), found.count(), {"subject": subject})


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The entries of the audit chain."""

    ordering = ("-number",)
    list_display = (_number, _time, _kind, _subject, _owner, _actor)
    list_display_links = (_number,)
    sortable_by = ()
    list_filter: ClassVar = [
        ("time", DayFilter),
        *((field, RecentValueFilter) for field in ("kind", "owner", "actor")),
        ("subject", BelongsToFilter),
    ]
    search_fields = ("subject", "kind", "owner", "actor")
    search_help_text = "Words of the kind, the subject, the owner or the actor."
    uuid_fields = ()
    long_fields = _whole
    sections = (
        (None, ((_number, columns.exact_moment("time")), _kind, _subject, (_owner, _actor))),
        ("Content", (columns.block("detail", _whole["detail"]), _digits("commitment"), _digits("salt"))),
        ("Chain", (_digits("previous"), _digits("hash"))),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).order_by("-number")
