"""The HTTP errors that failures of a conversation are reported as."""

from collections.abc import Callable
from typing import Any, Final

from chat.api.run_url import run_url
from chat.providers.registry import NotConfigured, UnknownProvider
from chat.runs.live.budget import PriceUnknown
from chat.runs.live.manager import ShuttingDown
from chat.runs.start.begin import (
    NotResumable,
    RunNotFound,
    SessionBusy,
    SessionNotFound,
    TooManyRuns,
    TooManyRunsForKey,
)
from chat.runs.start.idempotency import KeyMismatch
from chat.starting.candidates import ImagesUnsupported, MessageTooLong, ModelUnknown, OptionUnsupported
from chat.starting.factory import BudgetUnkept
from web.errors import ApiError
from web.storage_errors import SOON, STORAGE_REFUSALS

LATER: Final = {"Retry-After": "5"}


def not_found(what: str) -> ApiError:
    return ApiError(404, "not_found", f"There is no such {what}.")


def found(item: dict[str, Any] | None, what: str) -> dict[str, Any]:
    """Return an item that exists. Raises `ApiError` (404) for None."""
    if item is None:
        raise not_found(what)
    return item


def session_busy(run_id: object) -> ApiError:
    return ApiError(
        409,
        "session_busy",
        f"The session has an active run, {run_id}. Follow it, cancel it, or wait for its end.",
        detail=[{"run_id": str(run_id)}],
        headers={"Content-Location": run_url(run_id)},
    )


def refusal_of(error: Exception) -> ApiError | None:
    """Return the HTTP error of a failure, or None for a fault of the service itself."""
    if isinstance(error, ApiError):
        return error
    return next((refuse(error) for kind, refuse in REFUSALS.items() if isinstance(error, kind)), None)


# `refusal_of` takes the first match, so a subclass comes before its base.
REFUSALS: Final[dict[type[Exception], Callable[[Any], ApiError]]] = {
    RunNotFound: lambda _: not_found("run"),
    NotResumable: lambda error: ApiError(
        409, "not_resumable", f"Only an interrupted run can be resumed. The status of this one is {error.status}."
    ),
    KeyMismatch: lambda _: ApiError(
        409, "idempotency_mismatch", "This Idempotency-Key was used with another body. Use a new key."
    ),
    SessionNotFound: lambda _: not_found("session"),
    SessionBusy: lambda error: session_busy(error.run_id),
    UnknownProvider: lambda error: ApiError(422, "unknown_provider", str(error)),
    NotConfigured: lambda error: ApiError(422, "provider_not_configured", str(error)),
    ModelUnknown: lambda error: ApiError(422, "unknown_model", str(error)),
    ImagesUnsupported: lambda error: ApiError(422, "images_unsupported", str(error)),
    OptionUnsupported: lambda error: ApiError(422, "option_unsupported", str(error)),
    MessageTooLong: lambda error: ApiError(422, "context_too_long", str(error)),
    PriceUnknown: lambda error: ApiError(422, "price_unknown", str(error)),
    BudgetUnkept: lambda _: ApiError(
        409,
        "budget_unkept",
        "A budget applies to this call, but nothing is stored to count it by. Set ENABLE_PERSISTENCE=true.",
    ),
    TooManyRunsForKey: lambda error: ApiError(
        429,
        "too_many_runs",
        f"The key has its maximum of {error.limit} active runs. Wait until one ends.",
        headers=SOON,
    ),
    TooManyRuns: lambda _: ApiError(
        503, "too_many_runs", "MAX_ACTIVE_RUNS runs are active already. Retry in 5 s.", headers=LATER
    ),
    ShuttingDown: lambda _: ApiError(
        503, "shutting_down", "The service is shutting down. Retry in 5 s.", headers=LATER
    ),
    **STORAGE_REFUSALS,
}
