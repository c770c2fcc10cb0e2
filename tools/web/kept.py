"""A bounded store of the pages that were fetched lately."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by their keys, each for some seconds. The oldest make room for new ones."""

    def __init__(self, *, max_values: int, max_bytes: int, seconds: float, clock: Callable[[], float]) -> None:
        self._max_values = max_values
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._clock = clock
        self._values: OrderedDict[tuple[str, str], tuple[float, int, Value]] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str]) -> Value | None:
        """Return a value that is not too old, or None."""
        end, _, value = self._values.get(key, (0.0, 0, None))
        return value if self._clock() < end else None

    def put(self, key: tuple[str, str], value: Value, size: int) -> None:
        """Keep a value of `size` bytes. One that is larger than the store is not kept."""
        self._drop(key)
        if size > self._max_bytes:
            return
        self._values[key] = (self._clock() + self._seconds, size, value)
        self._bytes += size
        while len(self._values) > self._max_values or self._bytes > self._max_bytes:
            self._drop(next(iter(self._values)))

    def _drop(self, key: tuple[str, str]) -> None:
        _, size, _ = self._values.pop(key, (0.0, 0, None))
        self._bytes -= size
