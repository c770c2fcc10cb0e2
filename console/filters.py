"""Filters of the audit console's lists. None of them reads more of a table than it shows."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from console.visible_text import visible_text_line

# A list offers the values of so many of its newest rows as choices: DISTINCT would read the whole table.
RECENT: Final = 1_000

MAX_CHOICES: Final = 30


class _OneValueFilter(admin.FieldListFilter):
    """A filter with one query parameter; `value` is None if the query lacks it."""

    suffix = ""

    def __init__(  # noqa: PLR0917 - they are Django's
        self,
        field: "Field[Any, Any]",
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: "admin.ModelAdmin[Any]",
        field_path: str,
    ) -> None:
        self.parameter = f"{field_path}{self.suffix}"
        self.others = [
            (name, value)
            for name, values in request.GET.lists()
            # Page `p` of another choice may not exist.
            if name not in {self.parameter, "p"}
            for value in values
        ]
        super().__init__(field, request, params, model, model_admin, field_path)
        self.value = request.GET.get(self.parameter)

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter]

    def _choice(self, changelist: ChangeList, value: str | None, label: str) -> Any:
        query = (
            changelist.get_query_string(remove=[self.parameter])
            if value is None
            else changelist.get_query_string({self.parameter: value})
        )
        return {"selected": self.value == value, "query_string": query, "display": label}


class DayFilter(_OneValueFilter):
    """Rows of one day in the console's time zone, by a range that an index serves."""

    suffix = "__on"
    template = "console/day_filter.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "day"

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        today = timezone.localdate()
        yield self._choice(changelist, None, "Any day")
        yield self._choice(changelist, today.isoformat(), "Today")
        yield self._choice(changelist, (today - timedelta(days=1)).isoformat(), "Yesterday")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value is None:
            return queryset
        try:
            start = timezone.make_aware(datetime.combine(date.fromisoformat(self.value), datetime.min.time()))
            # A range, and not the day of the column, which no index on the column could serve.
            end = start + timedelta(days=1)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(error) from None
        return queryset.filter(**{f"{self.field_path}__gte": start, f"{self.field_path}__lt": end})


class RecentValueFilter(_OneValueFilter):
    """Rows with one value; the choices are those of the newest rows, and any other may be given in the query."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _, _, _, model, model_admin = args
        newest = model._default_manager.order_by(*model_admin.ordering).values_list(self.field_path, flat=True)
        self.values = sorted({*newest[:RECENT]} - {""})[:MAX_CHOICES]

    def has_output(self) -> bool:
        return bool(self.values) or self.value is not None

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield self._choice(changelist, None, "All")
        for value in self.values:
            yield self._choice(changelist, value, self.label(value))
        if self.value is not None and self.value not in self.values:
            yield self._choice(changelist, self.value, self.label(self.value))

    def label(self, value: str) -> str:
        """Return the text of a choice."""
        return visible_text_line(value, 40)


class BelongsToFilter(_OneValueFilter):
    """Rows of one session or run, as the links between the pages ask for; shown only while it is in use."""

    def has_output(self) -> bool:
        return self.value is not None

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield self._choice(changelist, None, "All")
        yield self._choice(changelist, self.value, visible_text_line(self.value or "", 40))
