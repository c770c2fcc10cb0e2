"""The endpoints of OpenAI's API: chat completions and models."""

import time
from contextlib import closing
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Router

from access.auth import KeyAuth, caller
from chat import service_registry
from chat.api.openai.model_names import PLAIN
from chat.api.openai.requests import request_of
from chat.api.openai.schemas import COMPLETION, CompletionIn, ModelOut, ModelsOut
from chat.api.openai.tool_results import Continued, continued
from chat.api.projections.stream import projected
from chat.api.projections.waiting import waits_for
from chat.api.provider_listing import provider_items
from chat.engine.events import ApprovalRequired, End, Error
from chat.runs.log.subscription import Subscription
from chat.wire import sse
from chat.wire.chat_completions import BUDGET_EXCEEDED, ChunkStream, Completion, Head
from web.errors import ApiError
from web.schemas import errors

router = Router(tags=["openai"], auth=KeyAuth("chat"))

ERRORS: Final = errors(400, 401, 403, 404, 409, 413, 415, 429, 500, 502, 503, 504)
STATUSES: Final = {
    "provider_timeout": 504,
    "provider_rate_limited": 429,
    "provider_rejected": 400,
    "context_too_long": 400,
    "internal": 500,
}
"""The statuses of failed runs. All others are 502, or 503 if the same request may succeed later."""


@router.post("/v1/chat/completions", response=ERRORS, openapi_extra=COMPLETION)
async def create_completion(request: HttpRequest, body: CompletionIn) -> HttpResponseBase:
    """Answer a conversation in OpenAI's form. The model may use the tools of the service, unless it is `:plain`."""
    service, who = service_registry.current(), caller(request)
    session = request.headers.get("X-Session-Id", "")
    if body.tools and not service.stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false lets no run wait. Leave tools out.")
    names = service.tool_names if body.tools and not body.model.endswith(PLAIN) else ()
    parsed = request_of(body, who, session, service.providers, names)
    waited = await continued(body.messages, who)
    if waited is None:
        spec = (await service.start(parsed)).spec
        waited = Continued(run_id=spec.run_id, session_id=spec.start.session_id or "", cursor=0)
    head = Head(id=f"chatcmpl-{waited.run_id.hex}", created=int(time.time()), model=body.model)
    subscription = service.follow(waited.run_id, who.owner, waited.cursor)
    options = body.stream_options
    if body.stream:
        with_usage = options is not None and options.include_usage
        chunks = ChunkStream(head, include_usage=with_usage, structured=parsed.output_schema is not None)
        frames = projected(waited.run_id, subscription, chunks)
        answer: HttpResponseBase = StreamingHttpResponse(frames, content_type=sse.CONTENT_TYPE)
        answer["Cache-Control"], answer["X-Accel-Buffering"] = "no-cache", "no"
    else:
        answer = JsonResponse(await _completion(waited.run_id, subscription, Completion(head)))
    answer["X-Run-Id"] = str(waited.run_id)
    if waited.session_id:
        answer["X-Session-Id"] = waited.session_id
    return answer


@router.get("/v1/models", response={200: ModelsOut, **ERRORS})
async def list_models(request: HttpRequest) -> dict[str, Any]:
    """List the models. A name that several providers have begins with the provider's."""
    return {"data": await _models()}


@router.get("/v1/models/{path:model}", response={200: ModelOut, **ERRORS})
async def get_model(request: HttpRequest, model: str) -> dict[str, Any]:
    """Return one model."""
    found = next((one for one in await _models() if one["id"] == model), None)
    if found is None:
        raise ApiError(404, "model_not_found", f"There is no model {model[:200]!r}. GET /v1/models lists them.")
    return found


async def _models() -> list[dict[str, Any]]:
    providers = await provider_items(service_registry.current().providers)
    pairs = [(item["name"], model) for item in providers if item["configured"] for model in item["models"]]
    names = [model for _, model in pairs]
    found = []
    for provider, model in pairs:
        name = model if names.count(model) == 1 else f"{provider}/{model}"
        found += [{"id": f"{name}{suffix}", "owned_by": provider} for suffix in ("", PLAIN)]
    return found


async def _completion(run_id: UUID, subscription: Subscription, completion: Completion) -> dict[str, Any]:
    """Return the completion when the run ends or calls the client's tools.

    Raise `ApiError` if it failed or waits for a decision.
    """
    with closing(subscription):
        async for frames in subscription:
            for event in sse.events(frames) if frames != sse.PING else ():
                completion.note(event)
                if isinstance(event, Error) or (isinstance(event, End) and event.reason == BUDGET_EXCEEDED):
                    raise failed(event)
                if isinstance(event, End):
                    return completion.ended(event)
            if isinstance(asked := await waits_for(run_id, completion.questions), ApprovalRequired):
                problem = f"The run waits for an approval of {asked.tool}, execution {asked.execution_id}."
                raise ApiError(409, "approval_required", f"{problem} With stream=true it continues here.")
            if asked:
                return completion.paused()
    raise ApiError(503, "interrupted", "The run was interrupted.")


def failed(failure: Error | End) -> ApiError:
    """Return the HTTP error of a run that failed, or whose budget was insufficient."""
    if isinstance(failure, End):
        return ApiError(429, BUDGET_EXCEEDED, "Insufficient budget for this run.")
    status = STATUSES.get(failure.code, 503 if failure.retryable else 502)
    return ApiError(status, failure.code, failure.error)
