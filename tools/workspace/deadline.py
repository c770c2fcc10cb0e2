"""The end of blocking work: at a time, or as soon as its caller is cancelled."""

import threading
import time
from collections.abc import Callable

from tools.base import ToolError


class Deadline:
    """A deadline. The working thread checks it between blocks and files; any other thread may cancel it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the work now."""
        self._cancelled.set()

    @property
    def over(self) -> bool:
        """True once the work must stop. Work that can return a part of its result does so."""
        return self._cancelled.is_set() or self._clock() >= self._end

    def check(self) -> None:
        """Raise `ToolError` (`cancelled`, `timed_out`) once the work must stop."""
        if self._cancelled.is_set():
            raise ToolError("The call was cancelled.", code="cancelled")
        if self.over:
            raise ToolError(f"It took longer than {self._seconds:g} s: ask for less at a time.", code="timed_out")
