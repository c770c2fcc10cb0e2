"""The bodies of the endpoints of sessions."""

from typing import Annotated, Any, Final

from ninja import Field

from chat.api.request_schemas import SmallObject
from web.schemas import Strict

JSON_LINES: Final = "application/jsonl"
HTML: Final = "text/html"
TEXT: Final = {"schema": {"type": "string", "description": "The file."}}


class SessionPatch(Strict):
    """The changes to a session. Fields that are left out or null keep their values."""

    title: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The new title. Null keeps the old one."
    )
    metadata: SmallObject | None = Field(
        None, description="The new values in place of all old ones, of at most 16 KiB as JSON. Null keeps the old ones."
    )
    archived: bool | None = Field(None, description="True leaves the session out of the list. Null changes nothing.")


class ForkIn(Strict):
    """The body of `POST /chat/sessions/{session_id}/fork`."""

    up_to: int | None = Field(
        None, ge=1, description="The id of the last message that the copy has. Null copies all of them."
    )
    title: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The title of the copy. Null keeps the title."
    )


EXPORT: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The session as a file: JSON Lines, or one HTML page.",
            "content": {JSON_LINES: TEXT, HTML: TEXT},
        }
    }
}
# Generators drop media types that they do not know, such as that of JSON Lines.
FILE: Final = {"schema": {"type": "string", "format": "binary", "description": "The file, as JSON Lines."}}
IMPORT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"An exported session, as `{JSON_LINES}` or bytes.",
        "content": {"application/octet-stream": FILE},
    }
}
