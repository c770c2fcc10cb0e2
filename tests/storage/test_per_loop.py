"""One value per event loop."""

import asyncio
import gc

from storage.per_loop import PerLoop


def test_each_loop_keeps_its_own_value() -> None:
    made = PerLoop(object)

    async def twice() -> tuple[object, object]:
        return made.current(), made.current()

    async def between() -> tuple[object, object]:
        first = made.current()
        await asyncio.to_thread(asyncio.run, twice())
        return first, made.current()

    one, again = asyncio.run(between())
    other, _ = asyncio.run(twice())
    assert one is again
    assert other is not one


async def test_replacement_is_used_and_then_forgotten() -> None:
    made = PerLoop(object)
    assert made.known() is None
    other = object()
    made.use(other)
    assert made.current() is made.known() is other
    made.forget()
    assert made.known() is None
    assert made.current() is not other


def test_value_of_a_closed_loop_is_dropped() -> None:
    made = PerLoop(object)

    async def ask() -> None:
        made.current()

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert len(made._things) <= 1
