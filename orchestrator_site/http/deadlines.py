"""The time limits of one connection: for a head, for a body, and for a peer that does not read."""

from typing import Final

from orchestrator_site.conf import ConnectionLimits

MIN_BODY_RATE: Final = 1_024
"""Bytes a second that a body must arrive at on average, after its first REQUEST_BODY_SECONDS."""


class Deadlines:
    """Records when bytes arrive and leave, in seconds of one clock, and reports missed deadlines."""

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._limits = limits
        self._head_began = self._body_began = self._body_moved = self._left = now
        self._body_bytes = self._unsent = 0

    def begin_head(self, now: float) -> None:
        self._head_began = now

    def begin_body(self, now: float) -> None:
        self._body_began = self._body_moved = now
        self._body_bytes = 0

    def add_body(self, size: int, now: float) -> None:
        self._body_bytes += size
        self._body_moved = now

    def wait_for_service(self, now: float) -> None:
        """Note that the service does not read the body at present."""
        self._body_began = self._body_moved = now

    def note_unsent(self, size: int, now: float) -> None:
        """Note how many bytes wait to be sent; with fewer than before, the peer reads."""
        if not size or size < self._unsent:
            self._left = now
        self._unsent = size

    def note_sent(self, now: float) -> None:
        self._left = now

    def is_head_late(self, now: float) -> bool:
        return now - self._head_began > self._limits.head_seconds

    def is_body_late(self, now: float) -> bool:
        beyond = now - self._body_began - self._limits.body_seconds
        is_silent = now - self._body_moved > self._limits.body_seconds
        return is_silent or self._body_bytes < beyond * MIN_BODY_RATE

    def is_unread(self, now: float) -> bool:
        # A reader of a stream is dropped by its subscription, with a reason, after half of this time.
        return now - self._left > 2 * self._limits.unread_seconds
