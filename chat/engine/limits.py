"""How far one run may go."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one run: each names the reason that a run ends with when it is reached.

    Seconds of wall time (`max_seconds`), calls of a model (`max_steps`), executions of tools (`max_tool_calls`), and
    the model's tokens and text bytes (both `max_output`). `max_repeats` is how often one call may fail
    (`repeated_call`).
    """

    max_seconds: float
    max_steps: int
    max_tool_calls: int
    max_output_tokens: int
    max_output_bytes: int
    max_repeats: int = 3


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failed call is tried again at the same provider, and how long to wait in between (seconds)."""

    attempts: int
    first_delay: float = 0.5
    longest_delay: float = 30.0

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after attempt number `attempt`: what the service asked for, else doubling; bounded."""
        wanted = self.first_delay * 2 ** (attempt - 1) if retry_after is None else retry_after
        return min(wanted, self.longest_delay)
