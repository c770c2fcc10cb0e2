"""A stored run's frames, sent again as they were."""

from collections.abc import AsyncIterator
from uuid import UUID

from chat import records
from chat.wire import sse
from storage.reader import read


async def replay(run_id: UUID, cursor: int) -> AsyncIterator[bytes]:
    """All stored frames behind number `cursor`, a bounded number of rows at a time."""
    while rows := await read(records.frames_after, run_id, cursor):
        first, _, frames = rows[0]
        parts = [sse.skip(frames, max(0, cursor + 1 - first)), *(frames for _, _, frames in rows[1:])]
        cursor = rows[-1][1]
        yield b"".join(parts)
