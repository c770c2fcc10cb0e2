"""What the console's lists read beyond their rows' own columns, in the same query."""

from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Substr

from chat.models import Message, Run, Session
from console.cells import PREFIX


def with_totals(sessions: QuerySet[Session]) -> QuerySet[Session]:
    """Sessions with `message_count`, `run_count`, the sums of their runs' tokens and costs, and `unpriced`.

    `unpriced` counts the runs that used tokens at an unknown price.
    """
    runs = Run.objects.filter(session=OuterRef("pk")).order_by().values("session")
    messages = Message.objects.filter(session=OuterRef("pk")).order_by().values("session")
    unpriced = runs.filter(cost_usd=None, input_tokens__gt=0)
    return sessions.annotate(
        message_count=Coalesce(Subquery(messages.annotate(total=Count("pk")).values("total")), 0),
        run_count=Coalesce(Subquery(runs.annotate(total=Count("pk")).values("total")), 0),
        input_tokens=Subquery(runs.annotate(total=Sum("input_tokens")).values("total")),
        output_tokens=Subquery(runs.annotate(total=Sum("output_tokens")).values("total")),
        cost_usd=Subquery(runs.annotate(total=Sum("cost_usd")).values("total")),
        unpriced=Coalesce(Subquery(unpriced.annotate(total=Count("pk")).values("total")), 0),
    )


def with_session_title(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Runs with their session's title and the beginning of their error."""
    return runs.defer("options", "metadata", "error").annotate(
        title=F("session__title"), error_start=Substr("error", 1, PREFIX)
    )


def with_beginnings(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Messages with the beginning of their text and the names of their first two calls, without the long columns."""
    return messages.defer("content", "tool_calls", "provider_parts").annotate(
        content_start=Substr("content", 1, PREFIX),
        first_call=KT("tool_calls__0__name"),
        second_call=KT("tool_calls__1__name"),
    )
