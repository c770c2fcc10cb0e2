"""The endpoint of the MCP server: streamable HTTP, whose answers are JSON."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from access.auth import KeyAuth, caller
from tools.mcp_server import server
from web import strict_json
from web.errors import CONTENT_TYPE, ApiError
from web.schemas import errors

router = Router(auth=KeyAuth())

ERRORS: Final = errors(401, 403, 413, 415, 429, 503)
MESSAGE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "One JSON-RPC 2.0 message of MCP.",
        "content": {CONTENT_TYPE: {"schema": {"type": "object", "description": "The message."}}},
    },
    "responses": {
        200: {
            "description": "The answer to a request.",
            "content": {CONTENT_TYPE: {"schema": {"type": "object", "description": "A JSON-RPC 2.0 response."}}},
        },
        202: {"description": "A notification was taken. It has no answer."},
        400: {
            "description": "The body is not one message of MCP, or of an unknown version of it.",
            "content": {CONTENT_TYPE: {"schema": {"type": "object", "description": "An error."}}},
        },
    },
}


@router.post("/mcp", response=ERRORS, openapi_extra=MESSAGE, tags=["mcp"])
async def handle_mcp_message(request: HttpRequest) -> HttpResponse:
    """Answer a message of the Model Context Protocol. It offers the tools that the key may run."""
    if request.content_type != CONTENT_TYPE:
        error = "Unsupported media type. Send the body as Content-Type: application/json."
        raise ApiError(415, "unsupported_media_type", error)
    try:
        message = strict_json.loads(request.body)
    except strict_json.NotJson as error:
        raise ApiError(400, "invalid_json", str(error)) from None
    version = request.headers.get("MCP-Protocol-Version", "")
    answer, is_bad = await server.reply(message, caller(request), version)
    return HttpResponse(status=202) if answer is None else JsonResponse(answer, status=400 if is_bad else 200)
