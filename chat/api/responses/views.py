"""The endpoints of Open Responses."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from chat import service_registry
from chat.api.errors import session_busy
from chat.api.openai.views import failed
from chat.api.projections.stream import projected, stream_of
from chat.api.responses.inputs import input_items
from chat.api.responses.known import KnownResponse, missing
from chat.api.responses.schemas import OBJECT, RESPONSE, ResponseIn
from chat.api.responses.starting import following_of
from chat.history import queries
from storage.writer import writer
from web.errors import ApiError
from web.schemas import errors

router = Router(tags=["openai"], auth=KeyAuth("chat"))

ERRORS: Final = errors(400, 401, 403, 404, 409, 413, 415, 429, 500, 502, 503, 504)
READ_ERRORS: Final = errors(400, 401, 403, 404, 429, 503)
AFTER: Final[Any] = params.Query(
    -1, ge=-1, le=2**31, description="The `sequence_number` of the last event that was received. -1 streams all events."
)
STREAM: Final[Any] = params.Query(default=False, description="True streams the events of the response.")
LIMIT: Final[Any] = params.Query(20, ge=1, le=100, description="The most items of the page.")

ITEM: Final[Any] = params.Query("", max_length=200, description="The id of the item before the page.")
ORDER: Final[Any] = params.Query("desc", pattern="^(asc|desc)$", description="`desc` lists the newest item first.")


@router.post("/v1/responses", response=ERRORS, openapi_extra=RESPONSE)
async def create_response(request: HttpRequest, body: ResponseIn) -> HttpResponseBase:
    """Answer a message or a conversation. With `previous_response_id`, a conversation of the service continues.

    An input of results of functions, or of decisions about approvals, continues the run that waits for them.
    """
    service, who = service_registry.current(), caller(request)
    if not service.stored and (body.tools or body.previous_response_id or body.conversation):
        problem = "ENABLE_PERSISTENCE=false stores nothing that could be continued"
        raise ApiError(422, "not_stored", f"{problem}. Leave tools, previous_response_id and conversation out.")
    following = await following_of(body, who)
    if body.background and not body.stream:
        answer: HttpResponseBase = JsonResponse(following.stream.response)
    elif body.stream:
        answer = stream_of(following.run_id, who, following.stream)
    else:
        subscription = service.follow(following.run_id, who.owner, 0)
        async for _ in projected(following.run_id, subscription, following.stream):
            pass
        if following.stream.failure is not None:
            raise failed(following.stream.failure)
        answer = JsonResponse(following.stream.response)
    answer["X-Run-Id"] = str(following.run_id)
    if following.session_id is not None:
        answer["X-Session-Id"] = str(following.session_id)
    return answer


@router.get("/v1/responses/{response_id}", response=READ_ERRORS, openapi_extra=RESPONSE)
async def get_response(
    request: HttpRequest, response_id: str, stream: bool = STREAM, starting_after: int = AFTER
) -> HttpResponseBase:
    """Return a response as it is now, or stream its events, from any one on."""
    known = await KnownResponse.find(response_id, caller(request))
    so_far = await known.read()
    if not stream:
        return JsonResponse(so_far.response)
    return stream_of(known.run.id, caller(request), known.stream(starting_after))


@router.post("/v1/responses/{response_id}/cancel", response=READ_ERRORS, openapi_extra=OBJECT)
async def cancel_response(request: HttpRequest, response_id: str) -> JsonResponse:
    """Stop the run of a response, and keep its output. Calling this again, or after the end, is safe."""
    known = await KnownResponse.find(response_id, caller(request))
    await service_registry.current().cancel(known.run.id, caller(request).owner)
    return JsonResponse((await (await KnownResponse.find(response_id, caller(request))).read()).response)


@router.delete("/v1/responses/{response_id}", response={**READ_ERRORS, **errors(409)}, openapi_extra=OBJECT)
async def delete_response(request: HttpRequest, response_id: str) -> JsonResponse:
    """Delete the run of a response, with its messages and events. Its tool executions stay as an audit record."""
    known = await KnownResponse.find(response_id, caller(request))
    owner = caller(request).owner
    deleted = await writer.write(lambda: queries.delete_run(known.run.id, owner))
    if isinstance(deleted, UUID):
        raise session_busy(deleted)
    if not deleted:
        raise missing()
    return JsonResponse({"id": response_id, "object": "response", "deleted": True})


@router.get("/v1/responses/{response_id}/input_items", response=READ_ERRORS, openapi_extra=OBJECT)
async def list_input_items(
    request: HttpRequest, response_id: str, limit: int = LIMIT, after: str = ITEM, order: str = ORDER
) -> JsonResponse:
    """List the input of a response: the messages of its request, or the client's answers. The newest come first."""
    known = await KnownResponse.find(response_id, caller(request))
    found = await input_items(known)
    items = found if order == "asc" else found[::-1]
    places = [place for place, item in enumerate(items) if item["id"] == after]
    if after and not places:
        raise ApiError(422, "invalid_field", f"after: there is no item {after[:80]!r}.")
    start = places[0] + 1 if places else 0
    page = items[start : start + limit]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return JsonResponse({"object": "list", "data": page, **ends, "has_more": len(items) > start + limit})
