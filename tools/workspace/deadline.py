"""When blocking work has to stop: at a time, or as soon as nobody waits for it."""

import threading
import time
from collections.abc import Callable

from tools.base import ToolError


class Deadline:
    """Looked at between blocks and between files by the thread that works, cancelled from any other."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Makes it over, now."""
        self._cancelled.set()

    @property
    def over(self) -> bool:
        """Whether to stop and give back what there is."""
        return self._cancelled.is_set() or self._clock() >= self._end

    def check(self) -> None:
        """Raises `ToolError` (`cancelled`, `timed_out`) once it is over, where half a result is worth nothing."""
        if self._cancelled.is_set():
            raise ToolError("The call was cancelled.", code="cancelled")
        if self.over:
            raise ToolError(f"It took longer than {self._seconds:g} s: ask for less at a time.", code="timed_out")
