"""The HTTP errors of a database that cannot write at the moment."""

from collections.abc import Callable
from typing import Any, Final

from storage.writer import StorageFull, StorageUnavailable
from web.errors import ApiError

SOON: Final = {"Retry-After": "1"}

# The first match counts, so a subclass comes before its base.
STORAGE_REFUSALS: Final[dict[type[Exception], Callable[[Any], ApiError]]] = {
    StorageFull: lambda _: ApiError(
        507, "no_space", "The database cannot write, because its disk is full or broken. Nothing was started."
    ),
    StorageUnavailable: lambda _: ApiError(
        503, "storage", "The database is not available at the moment. Retry in 1 s.", headers=SOON
    ),
}


def storage_error(error: StorageUnavailable) -> ApiError:
    """Return the error for a failed write."""
    return next(refuse(error) for kind, refuse in STORAGE_REFUSALS.items() if isinstance(error, kind))
