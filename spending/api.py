"""The API of usage and its cost."""

from datetime import date
from typing import Any, Final

from django.http import HttpRequest
from ninja import Router
from ninja.params import functions as params

from access.auth import caller
from spending import usage_report
from spending.schemas import UsageList
from spending.usage_report import GroupBy, Span
from storage.reader import read
from web.schemas import errors

router = Router(tags=["usage"])

SINCE: Final[Any] = params.Query(None, description="The first day, in UTC. If omitted, all days before `until`.")
UNTIL: Final[Any] = params.Query(None, description="The last day, in UTC. If omitted, all days after `since`.")
GROUP: Final[Any] = params.Query("day", description="The groups of the report.")
ERRORS: Final = errors(400, 401, 403, 422, 429, 503)


@router.get("/usage", response={200: UsageList, **ERRORS}, exclude_unset=True)
async def get_usage(
    request: HttpRequest, group_by: GroupBy = GROUP, since: date | None = SINCE, until: date | None = UNTIL
) -> dict[str, Any]:
    """Return calls, tokens and cost by day, key, model or tool: the caller's own, or all with the scope `audit`."""
    return await read(usage_report.usage, group_by, caller(request).reads, Span(since=since, until=until))
