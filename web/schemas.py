"""The schemas that every API shares: the base of bodies, the shape of an error, and the parameters of a page."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from ninja import Field, Schema
from ninja.params import functions as params
from pydantic import BaseModel, ConfigDict

MAX_ITEMS: Final = 200
MAX_OFFSET: Final = 2**31

LIMIT: Final[Any] = params.Query(50, ge=1, le=MAX_ITEMS, description="The most items of the page.")
"""The `limit` of a list: the most items of one page."""

OFFSET: Final[Any] = params.Query(0, ge=0, le=MAX_OFFSET, description="The number of items before the page.")
"""The `offset` of a list: the number of items before the page."""


def drop_defaults(schema: dict[str, Any]) -> None:
    """Drop the defaults of optional fields from the schema of a body."""
    # openapi-typescript makes a field with a default required: https://openapi-ts.dev/cli, `defaultNonNullable`.
    for field in schema["properties"].values():
        field.pop("default", None)


class Strict(BaseModel):
    """A body of a request, without unknown fields."""

    # A misspelt field would otherwise be ignored silently.
    model_config = ConfigDict(extra="forbid", json_schema_extra=drop_defaults)


class ErrorOut(Schema):
    """The shape of every HTTP error."""

    type: Literal["error"] = Field(description="The type of every error.")
    error: str = Field(description="A sentence: the problem, and what is valid.")
    message: str = Field(description="The same sentence, for clients that look for it here.")
    code: str = Field(description="The problem as a word for programs, in snake case.")
    detail: list[Any] = Field(
        description='The invalid fields as `{"field", "error"}`, or other facts about the problem.'
    )


def errors(*statuses: int) -> dict[int, Any]:
    """Return ninja's `response` entries for an endpoint that answers with these error statuses."""
    # Views raise their errors, so ninja never validates one. With a schema it would build a class for each entry of
    # each endpoint, which takes as long as all other imports together. The OpenAPI document adds the schema.
    return dict.fromkeys(statuses)


def response_headers(described: Mapping[str, str]) -> dict[str, Any]:
    """Return the description of text headers, as an OpenAPI document has it."""
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}
