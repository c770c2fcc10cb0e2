"""Validation errors of the API: each field and the values it accepts, never the value that was sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from web.errors import ApiError


def invalid_fields(problems: Iterable[Mapping[str, Any]], *, skip: int = 0) -> ApiError:
    """Return the 422 for pydantic's errors (`loc`, `msg`), without the first `skip` parts of each location."""
    # pydantic's `input` is left out, because the value may be a secret.
    detail = [{"field": ".".join(map(str, problem["loc"][skip:])), "error": problem["msg"]} for problem in problems]
    lines = (f"{problem['field']}: {problem['error']}" if problem["field"] else problem["error"] for problem in detail)
    return ApiError(422, "invalid_field", "; ".join(lines), detail=detail)
