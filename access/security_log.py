"""Log lines about rejected callers, limited in number, and without more of a key than its prefix."""

import logging
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 60.0
# Rejected callers decide how often they try, so the number of their lines is limited.
MAX_LINES: Final = 30
"""Lines of one event in one window; the next window reports how many were left out."""


class SecurityLog:
    """The lines of one process."""

    def __init__(self, most: int = MAX_LINES, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._windows: dict[str, tuple[float, int]] = {}

    def report(self, event: str, **fields: str) -> None:
        """Log an event such as `scope.missing`, unless its window is full."""
        moment = self._now()
        began, count = self._windows.get(event, (moment, 0))
        if moment - began >= WINDOW_SECONDS:
            if count > self._most:
                logger.warning("incidents.left_out", extra={"of": event, "count": count - self._most})
            began, count = moment, 0
        self._windows[event] = (began, count + 1)
        if count < self._most:
            logger.warning(event, extra=fields)


security_log = SecurityLog()
