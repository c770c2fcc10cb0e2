"""The bodies of the endpoints of whole sessions."""

from typing import Annotated, Any, Final

from ninja import Field

from web.schemas import Strict

JSON_LINES: Final = "application/jsonl"
HTML: Final = "text/html"
TEXT: Final = {"schema": {"type": "string", "description": "The file."}}


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
