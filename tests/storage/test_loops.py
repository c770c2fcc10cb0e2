"""What there is once for each event loop."""

import asyncio
import gc

from storage.per_loop import PerLoop


def test_each_loop_has_its_own_and_keeps_it() -> None:
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


async def test_another_takes_its_place_and_is_forgotten() -> None:
    made = PerLoop(object)
    assert made.known() is None
    other = object()
    made.use(other)
    assert made.current() is made.known() is other
    made.forget()
    assert made.known() is None
    assert made.current() is not other


def test_what_was_made_for_a_loop_that_is_gone_is_not_kept() -> None:
    made = PerLoop(object)

    async def ask() -> None:
        made.current()

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert len(made._things) <= 1
