"""The endpoint of the MCP server, and its metadata as a protected resource."""

from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Field, Router, Schema

from access.auth import KeyAuth, caller
from tools.mcp_server.resource import metadata_of
from tools.mcp_server.transports.http import respond
from web import strict_json
from web.errors import CONTENT_TYPE, ApiError
from web.schemas import errors

router = Router(auth=KeyAuth())

TAGS: Final = ["mcp"]

ERRORS: Final = errors(401, 403, 404, 409, 413, 415, 429, 503)
RPC_ERROR: Final = {CONTENT_TYPE: {"schema": {"type": "object", "description": "A JSON-RPC 2.0 error."}}}
MESSAGE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "One JSON-RPC 2.0 message of MCP.",
        "content": {CONTENT_TYPE: {"schema": {"type": "object", "description": "The message."}}},
    },
    "responses": {
        200: {
            "description": "The answer to a request: as events if the client accepts them and wants progress.",
            "content": {
                CONTENT_TYPE: {"schema": {"type": "object", "description": "A JSON-RPC 2.0 response."}},
                "text/event-stream": {"schema": {"type": "string", "description": "Notifications, then the response."}},
            },
        },
        202: {"description": "A notification or an answer was taken. It has no answer."},
        400: {
            "description": "The body is not one message of MCP, or of an unknown version of it.",
            "content": RPC_ERROR,
        },
    },
}


class ResourceOut(Schema):
    """The metadata of a protected resource (RFC 9728)."""

    resource: str = Field(description="The URL of the MCP server.")
    resource_name: str = Field(description="The name of the service.")
    resource_documentation: str = Field(description="The URL of the document of its API.")
    bearer_methods_supported: list[str] = Field(description="The ways to send a key: in the header `Authorization`.")
    scopes_supported: list[str] = Field(description="The scopes that a key can have, besides names of tools.")


@router.post("/mcp", response=ERRORS, openapi_extra=MESSAGE, tags=TAGS)
async def handle_mcp_message(request: HttpRequest) -> HttpResponseBase:
    """Answer a message of the Model Context Protocol. It offers the tools that the key may run."""
    if request.content_type != CONTENT_TYPE:
        error = "Unsupported media type. Send the body as Content-Type: application/json."
        raise ApiError(415, "unsupported_media_type", error)
    try:
        message = strict_json.loads(request.body)
    except strict_json.NotJson as error:
        raise ApiError(400, "invalid_json", str(error)) from None
    return await respond(message, caller(request), request)


@router.get("/.well-known/oauth-protected-resource", auth=None, response=ResourceOut, tags=TAGS)
async def get_resource_metadata(request: HttpRequest) -> dict[str, Any]:
    """Return the metadata of the MCP server as a protected resource (RFC 9728).

    They name no authorization server, because keys are created by the service itself.
    """
    return metadata_of(request)


@router.get("/.well-known/oauth-protected-resource/mcp", auth=None, response=ResourceOut, tags=TAGS)
async def get_mcp_resource_metadata(request: HttpRequest) -> dict[str, Any]:
    """Return the same metadata, at the path that RFC 9728 derives from the URL of the MCP server."""
    return metadata_of(request)
