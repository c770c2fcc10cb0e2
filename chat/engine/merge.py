"""Several streams at once, as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def together(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[tuple[int, Item]]:
    """The items of all, as they come, each with its stream's place. Closing it closes them all, and waits for that.

    Raises what any of them raises, once the others are closed. Each stream is at most one item ahead.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as alone:
            async for item in alone:
                yield 0, item
        return
    steps = {asyncio.ensure_future(_step(stream)): place for place, stream in enumerate(streams)}
    try:
        while steps:
            done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
            for step in done:
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
    return await anext(stream, None)
