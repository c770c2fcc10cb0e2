"""The responses that carry a run: its server-sent events, or one JSON object at its end."""

import json
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest, StreamingHttpResponse
from ninja.responses import NinjaJSONEncoder

from chat.api.projections.waiting import waits_for
from chat.api.run_access import run_fields
from chat.api.run_url import run_url
from chat.api.schemas import AnswerOut
from chat.engine.events import ApprovalRequired, Compaction, End
from chat.models import Run
from chat.runs.log.subscription import Subscription
from chat.wire import sse
from chat.wire.questions import Questions

JSON: Final = "application/json"


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


def wants_json(request: HttpRequest, stream: bool | None) -> bool:
    """Return whether the client wants one JSON object: by the field `stream`, or by an `Accept` of JSON only."""
    if stream is not None:
        return not stream
    accepted = request.headers.get("Accept", "")
    return JSON in accepted and sse.CONTENT_TYPE not in accepted and "*/*" not in accepted


class JsonAnswer(StreamingHttpResponse):
    """The run at its end, or when it waits. Until then it sends white space, which JSON ignores.

    The status is 200 once the run has started: `status` says how it ended.
    """

    def __init__(self, run_id: UUID, owner: str, subscription: Subscription) -> None:
        headers = {"Cache-Control": "no-cache", "X-Run-Id": str(run_id), "Content-Location": run_url(run_id)}
        super().__init__(_body(run_id, owner, subscription), content_type=JSON, headers=headers)


async def _body(run_id: UUID, owner: str, subscription: Subscription) -> AsyncIterator[bytes]:
    questions = Questions()
    found: dict[str, Any] = {}
    with closing(subscription):
        async for frames in subscription:
            if frames == sse.PING:
                yield b"\n"
                continue
            for event in sse.events(frames):
                questions.note(event)
                if isinstance(event, Compaction):
                    found["compaction"] = msgspec.to_builtins(event)
                elif isinstance(event, End):
                    # Fields that the event does not have are left out.
                    end = msgspec.to_builtins(event)
                    found |= {name: end[name] for name in ("output", "warning") if name in end}
            asked = await waits_for(run_id, questions)
            if asked is not None:
                name = "approval" if isinstance(asked, ApprovalRequired) else "client_tool_calls"
                found |= {"status": Run.Status.WAITING, name: msgspec.to_builtins(asked)}
                break
    answer = AnswerOut.model_validate({**(await run_fields(run_id, owner) or {}), **found})
    yield json.dumps(answer.model_dump(), cls=NinjaJSONEncoder).encode()
