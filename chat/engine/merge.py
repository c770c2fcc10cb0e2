"""Several asynchronous streams as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def merge(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[tuple[int, Item]]:
    """Yield the items of all streams as they arrive, each with its stream's index.

    Closing the generator closes every stream, and waits for them. An exception of one stream is raised after the
    others are closed. Each stream is at most one item ahead.
    """
    if len(streams) == 1:
        # The common case needs no tasks.
        async with aclosing(streams[0]) as stream:
            async for item in stream:
                yield 0, item
        return
    steps = {asyncio.ensure_future(_step(stream)): place for place, stream in enumerate(streams)}
    try:
        while steps:
            done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
            # A set has no order, and what happened at the same time is reported in the order of the streams.
            for step in sorted(done, key=lambda step: steps[step]):
                place, following = steps.pop(step), step.result()
                if following is not None:
                    steps[asyncio.ensure_future(_step(streams[place]))] = place
                    yield place, following
    finally:
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)
        for stream in streams:
            await stream.aclose()


async def _step(stream: AsyncGenerator[Item]) -> Item | None:
    # A task needs a coroutine, and `anext` returns another kind of awaitable.
    return await anext(stream, None)
