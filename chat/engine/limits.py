"""The limits of one run."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one run. A run that reaches one ends with that limit's name as its reason.

    They are seconds of wall time (`max_seconds`), model calls (`max_steps`), tool executions (`max_tool_calls`), and
    the model's tokens and text bytes (both `max_output`). A call may fail `max_repeats` times (`repeated_call`).
    """

    max_seconds: float
    max_steps: int
    max_tool_calls: int
    max_output_tokens: int
    max_output_bytes: int
    max_repeats: int = 3


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """The number of retries at the same provider, and the seconds between them."""

    attempts: int
    first_delay: float = 0.5
    longest_delay: float = 30.0

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after attempt number `attempt`: the service's own `retry_after`, or a backoff."""
        backoff = min(self.first_delay * 2 ** (attempt - 1), self.longest_delay)
        return backoff if retry_after is None else retry_after

    def is_too_long(self, retry_after: float | None) -> bool:
        """Return whether the service requested a longer wait than a run makes."""
        return retry_after is not None and retry_after > self.longest_delay
