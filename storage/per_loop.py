"""What a process has once for each of its event loops: there is one where it serves, and one more in each test."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Thing = TypeVar("Thing")


class PerLoop(Generic[Thing]):
    """The running event loop's own, made by `make` when it is first asked for: not every server tells when it starts.

    What was asked for last is found without a look into the dictionary of all loops: every request asks often.
    """

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._things: WeakKeyDictionary[asyncio.AbstractEventLoop, Thing] = WeakKeyDictionary()
        self._last: tuple[asyncio.AbstractEventLoop, Thing] | None = None

    def current(self) -> Thing:
        last, loop = self._last, asyncio.get_running_loop()
        if last is not None and last[0] is loop:
            return last[1]
        thing = self._things.get(loop)
        return self.use(self._make() if thing is None else thing)

    def use(self, thing: Thing) -> Thing:
        """Makes it the running event loop's."""
        loop = asyncio.get_running_loop()
        self._things[loop] = thing
        self._last = (loop, thing)
        return thing

    def known(self) -> Thing | None:
        """The running event loop's, if it has one yet."""
        return self._things.get(asyncio.get_running_loop())

    def forget(self) -> None:
        """Lets go of the running event loop's."""
        self._things.pop(asyncio.get_running_loop(), None)
        self._last = None
