"""The errors of the client.

    ClientError
    ├── ApiError          the service rejected a request
    ├── ConnectionLost    the service cannot be reached, or a run cannot be followed any more
    ├── ProtocolError     the answer is not one of this service, or exceeds a limit
    └── RunFailed         the run of `ask` ended with an error

`ClientError` is the base of all of them.
"""

from collections.abc import Sequence
from typing import Any

from orchestrator_client.core.events import Error


class ClientError(Exception):
    """The base of all errors of the client."""


class ApiError(ClientError):
    """The service rejected a request. `retry_after` is the wait in seconds that it asks for, or None."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: Sequence[Any] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = tuple(detail)
        self.retry_after = retry_after


class ConnectionLost(ClientError):
    """The service cannot be reached. With a `run_id`, that run may continue: `follow` it later behind `after`."""

    def __init__(self, message: str, *, why: str, run_id: str = "", after: int = 0) -> None:
        super().__init__(message)
        self.why = why
        self.run_id = run_id
        self.after = after


class ProtocolError(ClientError):
    """The answer is not one of this service, or exceeds a limit."""


class RunFailed(ClientError):
    """The run failed or was interrupted. `text` is the answer so far, and `event` the last event."""

    def __init__(self, event: Error, *, run_id: str, text: str) -> None:
        super().__init__(event.error)
        self.code = event.code
        self.retryable = event.retryable
        self.event = event
        self.run_id = run_id
        self.text = text
