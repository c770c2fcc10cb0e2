"""The response that streams a run's frames."""

from collections.abc import AsyncIterator
from uuid import UUID

from django.http import StreamingHttpResponse

from chat.api.run_url import run_url
from chat.wire import sse


class EventStream(StreamingHttpResponse):
    """The server-sent events of a run. `frames` are its bytes, for a handler that adds no layers around them."""

    def __init__(self, frames: AsyncIterator[bytes], run_id: UUID) -> None:
        headers = {
            "Cache-Control": "no-cache",
            # nginx would buffer the events: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
            "X-Accel-Buffering": "no",
            "X-Run-Id": str(run_id),
            "Content-Location": run_url(run_id) + "/stream",
        }
        super().__init__(frames, content_type=sse.CONTENT_TYPE, headers=headers)
        self.frames = frames
