"""The response that streams a run's frames."""

from collections.abc import AsyncIterator
from uuid import UUID

from django.http import StreamingHttpResponse

from chat.wire import sse


class EventStream(StreamingHttpResponse):
    """Server-sent events of a run; `frames` are its bytes, for a handler that needs no layers around them."""

    def __init__(self, frames: AsyncIterator[bytes], run_id: UUID) -> None:
        headers = {
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            "X-Run-Id": str(run_id),
            "Content-Location": f"/chat/runs/{run_id}/stream",
        }
        super().__init__(frames, content_type=sse.CONTENT_TYPE, headers=headers)
        self.frames = frames
