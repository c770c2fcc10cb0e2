"""The HTTP errors of a database that cannot write at the moment."""

from typing import Final, overload

from storage.writer import StorageFull, StorageUnavailable
from web.errors import ApiError

SOON: Final = {"Retry-After": "1"}


@overload
def storage_error(error: StorageUnavailable) -> ApiError: ...
@overload
def storage_error(error: Exception) -> ApiError | None: ...
def storage_error(error: Exception) -> ApiError | None:
    """Return the error for a failed write, or None for any other exception."""
    if isinstance(error, StorageFull):
        text = "The database cannot write, because its disk is full or broken. Nothing was started."
        return ApiError(507, "no_space", text)
    if isinstance(error, StorageUnavailable):
        return ApiError(503, "storage", "The database is not available at the moment. Retry in 1 s.", headers=SOON)
    return None
