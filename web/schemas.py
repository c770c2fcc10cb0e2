"""The schemas that every API shares: the shape of an error, and the parameters of a page."""

from typing import Any, Final, Literal

from ninja import Schema
from ninja.params import functions as params

MAX_ITEMS: Final = 200
MAX_OFFSET: Final = 2**31

LIMIT: Final[Any] = params.Query(50, ge=1, le=MAX_ITEMS)
"""The `limit` of a list: the most items of one page."""

OFFSET: Final[Any] = params.Query(0, ge=0, le=MAX_OFFSET)
"""The `offset` of a list: the number of items before the page."""


class ErrorOut(Schema):
    """The shape of every HTTP error. `detail` names invalid fields as `{"field", "error"}`."""

    type: Literal["error"] = "error"
    error: str
    code: str
    detail: list[Any] = []


def errors(*statuses: int) -> dict[int, Any]:
    """Return ninja's `response` entries for an endpoint that answers with these error statuses."""
    return dict.fromkeys(statuses, ErrorOut)
