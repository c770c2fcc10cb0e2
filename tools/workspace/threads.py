"""Blocking work of tools, in threads of its own: what else waits for a thread in this process never waits for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from tools.workspace.deadline import Deadline

Result = TypeVar("Result")

THREADS: Final = 8

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tools")


async def in_thread(work: Callable[[], Result], deadline: Deadline) -> Result:
    """What the work returns. Cancelled, it stops the work and waits for its end, which the deadline brings soon.

    So nothing goes on behind an execution that is over. Work that never got a thread is not started.
    """
    submitted = _threads.submit(work)
    running = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        deadline.cancel()
        if not submitted.cancel():
            await asyncio.wait([running])
        raise
