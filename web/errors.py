"""`ApiError`: a request that is rejected, in the shape of every HTTP error of the service."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

CONTENT_TYPE: Final = "application/json"


class ApiError(Exception):
    """An error with a status. `error` says what is wrong and what is valid, `code` is for programs, `detail` names
    fields.
    """

    def __init__(
        self,
        status: int,
        code: str,
        error: str,
        *,
        detail: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.error = error
        self.detail = detail
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return the error as JSON."""
        # Clients of other APIs look for the sentence in `message`.
        fields = {"type": "error", "error": self.error, "message": self.error, "code": self.code}
        return msgspec.json.encode({**fields, "detail": list(self.detail)})
