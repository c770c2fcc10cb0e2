"""Log lines with the head of the audit chain: at an interval, and when the process ends.

A log that is kept on another machine shows whether the end of the chain was removed.
"""

import asyncio
import contextlib
import logging

from audit import chain, conf
from storage.reader import read
from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)


class HeadLog:
    """Logs `audit.head` every `AUDIT_HEAD_SECONDS`, from `start` to `close`."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if conf.is_kept() and conf.head_seconds():
            self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def close(self) -> None:
        """Stop, and log the last head."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            await log_head()

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(conf.head_seconds())
            await log_head()


async def log_head() -> None:
    """Log the head of the chain, if the database answers."""
    try:
        head = await read(chain.head)
    except StorageUnavailable as error:
        logger.warning("audit.head_unknown", extra={"error": str(error)})
        return
    time = head.time.isoformat() if head.time else ""
    logger.info("audit.head", extra={"number": head.number, "hash": head.hash, "time_of_entry": time})
