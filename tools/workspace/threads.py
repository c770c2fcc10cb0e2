"""Threads for the blocking work of tools. They are separate, so a slow disk never delays other work of the process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from tools.workspace.deadline import Deadline

Result = TypeVar("Result")

THREADS: Final = 8

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tools")


async def in_thread(work: Callable[[], Result], deadline: Deadline) -> Result:
    """Return the result of the work. If the caller is cancelled, cancel the deadline and wait for the work's end."""
    submitted = _threads.submit(work)
    running = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # Nothing may write a file after its execution has ended. Work that has no thread yet is not started.
        deadline.cancel()
        if not submitted.cancel():
            await asyncio.wait([running])
        raise
