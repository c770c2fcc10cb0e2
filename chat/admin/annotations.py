"""The annotations that the lists of the admin need beyond the columns of their rows, in the same query."""

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Substr

from chat.models import Message, Run, Session
from console.cells import PREFIX


def with_totals(sessions: QuerySet[Session]) -> QuerySet[Session]:
    """Add `message_count`, `run_count`, the sums of the runs' tokens and costs, and `unpriced` to sessions.

    `unpriced` counts the runs that used tokens at an unknown price.
    """
    # Subqueries, because joins with both tables would multiply their rows.
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
    """Add the session's title and owner and the beginning of the error to runs, and leave out their long columns."""
    # Subqueries, because the query for the keys of a page would keep a join, and sort all runs for it.
    of_run = Session.objects.filter(pk=OuterRef("session_id"))
    return runs.defer("options", "metadata", "error").annotate(
        title=Subquery(of_run.values("title")),
        owner=Subquery(of_run.values("owner")),
        error_start=Substr("error", 1, PREFIX),
    )


def with_beginnings(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Add the beginning of the text and the names of the first two calls to messages, and leave out long columns."""
    return messages.defer("content", "tool_calls", "provider_parts").annotate(
        content_start=Substr("content", 1, PREFIX),
        first_call=KT("tool_calls__0__name"),
        second_call=KT("tool_calls__1__name"),
    )
