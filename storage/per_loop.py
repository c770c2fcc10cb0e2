"""Objects that a process has once for each event loop: one when it serves, and one more in each test."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Thing = TypeVar("Thing")


class PerLoop(Generic[Thing]):
    """Holds one object per event loop, made by `make` on first use."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._things: WeakKeyDictionary[asyncio.AbstractEventLoop, Thing] = WeakKeyDictionary()
        self._last: tuple[asyncio.AbstractEventLoop, Thing] | None = None

    def current(self) -> Thing:
        last, loop = self._last, asyncio.get_running_loop()
        if last is not None and last[0] is loop:
            return last[1]
        # Made on first use, because not every ASGI server reports that it starts.
        thing = self._things.get(loop)
        return self.use(self._make() if thing is None else thing)

    def use(self, thing: Thing) -> Thing:
        """Set the running event loop's object."""
        loop = asyncio.get_running_loop()
        self._things[loop] = thing
        self._last = (loop, thing)
        return thing

    def known(self) -> Thing | None:
        """Return the running event loop's object; None if there is none yet."""
        return self._things.get(asyncio.get_running_loop())

    def forget(self) -> None:
        """Drop the running event loop's object."""
        self._things.pop(asyncio.get_running_loop(), None)
        self._last = None
