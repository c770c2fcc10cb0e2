"""The admin pages of usage and budgets."""

from typing import Any, ClassVar

from django.contrib import admin

from console import cells, columns
from console.filters import RecentValueFilter
from console.pages import ReadOnlyAdmin
from spending.models import Account, Use
from spending.usage_report import cost_of

_day = columns.column("day", lambda row: row.day.isoformat())
_what = columns.column("what", lambda row: cells.short(row.tool or row.model))
_whose = (columns.text("key"), columns.text("provider"))
_cost = columns.column("cost (USD)", lambda row: f"{cost_of(row.cost):.6f}")
_counts = tuple(columns.number(name) for name in ("calls", "failed", "estimated", "unpriced"))
_tokens = tuple(columns.number(f"{kind}_tokens", kind) for kind in ("input", "output", "cached", "reasoning"))
_spent = columns.column("spent", lambda row: _amount(row, row.spent))
_reserved = columns.column("reserved", lambda row: _amount(row, row.reserved))


@admin.register(Use)
class UseAdmin(ReadOnlyAdmin):
    """The usage of each day, key and model or tool."""

    ordering = ("-day", "-id")
    list_display = (_day, _what, *_whose, *_counts[:2], *_tokens[:2], _cost)
    list_display_links = (_what,)
    # Sorting by a sum would read the whole table.
    sortable_by = ()
    list_filter: ClassVar = [(field, RecentValueFilter) for field in ("key", "model", "tool")]
    sections = (
        (None, ((_day, _what, columns.text("owner"), *_whose),)),
        ("Amounts", (_counts, _tokens, (_cost, columns.number("milliseconds")))),
    )


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """The amounts spent and reserved on each budget."""

    ordering = ("-updated",)
    list_display = (columns.text("name"), _spent, _reserved, columns.moment("updated", "last used"))
    sortable_by = ()
    search_fields = ("name__startswith",)
    search_help_text = "The beginning of an account's name, such as key: or service:"
    sections = ((None, ((columns.text("name"), _spent, _reserved, columns.exact_moment("updated")),)),)
    # The key of an account is its name.
    uuid_fields = ()


def _amount(row: Any, amount: int) -> str:
    return f"{cost_of(amount):.6f} USD" if ":usd" in row.name else f"{amount} tokens"
