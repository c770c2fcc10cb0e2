"""The admin pages of usage and budgets."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q
from django.http import HttpRequest

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from access.limits.budgets import Unit
from console import cells, columns
from console.filters import RecentValueFilter
from spending.budget_report import Budgets
from spending.models import Account, Use
from spending.usage_report import cost_of
from web.plurals import counted

_day = columns.column("day", lambda row: row.day.isoformat())
_what = columns.column("what", lambda row: cells.short(row.tool or row.model))
_whose = (named("key"), columns.text("provider"))
_cost = columns.column("cost (USD)", lambda row: f"{cost_of(row.cost):.6f}")
_counts = tuple(columns.number(name) for name in ("calls", "failed", "estimated", "unpriced"))
_tokens = tuple(columns.number(f"{kind}_tokens", kind) for kind in ("input", "output", "cached", "reasoning"))
_account = columns.column("account", lambda row: row.names.text(row.name))
_amounts = tuple(
    columns.column(name, lambda row, name=name: _amount(row.balance.unit, getattr(row.balance, name)))  # type: ignore[misc]
    for name in ("spent", "reserved", "limit", "left")
)


@admin.register(Use)
class UseAdmin(NamedAdmin):
    """The usage of each day, key and model or tool."""

    ordering = ("-day", "-id")
    list_display = (_day, _what, *_whose, *_counts[:2], *_tokens[:2], _cost)
    list_display_links = (_what,)
    # Sorting by a sum would read the whole table.
    sortable_by = ()
    list_filter: ClassVar = [("key", NamedFilter), ("model", RecentValueFilter), ("tool", RecentValueFilter)]
    search_fields = ("provider", "model", "tool")
    search_help_text = "Words of the provider, the model, the tool, or the name of a key or user."
    uuid_fields = ()
    references = ("owner", "key")
    sections = (
        (None, ((_day, _what, named("owner"), *_whose),)),
        ("Amounts", (_counts, _tokens, (_cost, columns.number("milliseconds")))),
    )


@admin.register(Account)
class AccountAdmin(NamedAdmin):
    """The amounts spent, reserved and left of each budget."""

    ordering = ("-updated",)
    list_display = (_account, *_amounts, columns.moment("updated", "last used"))
    sortable_by = ()
    search_fields = ("name__startswith",)
    search_help_text = "The beginning of an account's name, such as key: or service:, or the name of a key."
    references = ("name",)
    sections = ((None, ((named("name", "account"), *_amounts, columns.exact_moment("updated")),)),)
    # The key of an account is its name.
    uuid_fields = ()

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        # The budgets are read once for the page, not for each row.
        budgets = Budgets()
        for row in found.result_list:
            row.balance = budgets.balance(row.name, row.spent, row.reserved)
        return found

    def referring(self, references: Sequence[str]) -> Q:
        return reduce(or_, (Q(name__startswith=f"key:{one}:") for one in references))

    def title_of(self, row: Any) -> str:
        return str(_account(row))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.balance = Budgets().balance(row.name, row.spent, row.reserved)
        return row


def _amount(unit: Unit, amount: int | None) -> str:
    if amount is None:
        return "unknown"
    return f"{cost_of(amount):.6f} USD" if unit == "usd" else counted(amount, "token")
