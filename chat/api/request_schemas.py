"""The bodies of requests to the chat API, and the limits of their fields."""

import json
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from ninja import Field
from pydantic import AfterValidator, field_validator, model_validator

from chat.history.transfer.records import MAX_METADATA_BYTES
from web.schemas import Strict

MAX_TOOL_CALLS: Final = 32
MAX_CLIENT_TOOLS: Final = 128
MAX_ATTACHMENTS: Final = 16

Name = Annotated[str, Field(max_length=128)]
ClientToolName = Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
Description = Annotated[str, Field(max_length=8_192)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


def _small(values: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(values)) > MAX_METADATA_BYTES:
        raise ValueError(f"give at most {MAX_METADATA_BYTES} bytes as JSON")
    return values


# Each service decides what its models are called.
ModelName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
SmallObject = Annotated[dict[str, Any], AfterValidator(_small)]


class ToolCallIn(Strict):
    """A tool to run before the model answers."""

    name: Name = Field(description="The tool's name, such as `fs.read`.")
    params: dict[str, Any] = Field({}, description="The tool's params. `GET /tools` has their JSON Schema.")


class ClientToolIn(Strict):
    """A tool that the client runs when the model calls it."""

    name: ClientToolName = Field(
        description="The tool's name: letters, digits, `_` and `-`. It differs from the names of the service's tools."
    )
    description: Description = Field("", description="The description for the model.")
    parameters: dict[str, Any] = Field(
        {"type": "object", "properties": {}}, description="The JSON Schema of the params, of type object."
    )


class AttachmentIn(Strict):
    """A picture: base64 data with its media type, or a path in the workspace."""

    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"] | None = Field(
        None, description="The media type of `data_base64`. Null for a file, whose type is detected."
    )
    data_base64: str | None = Field(
        None, description="The picture as base64, of at most 8 MiB decoded. Null if `path` is given."
    )
    path: str | None = Field(
        None, description="A file in the workspace, of at most 8 MiB. Null if `data_base64` is given."
    )

    @model_validator(mode="after")
    def one_source(self) -> "AttachmentIn":
        if (self.data_base64 is None) == (self.path is None):
            raise ValueError("give either data_base64 (with media_type) or path")
        if self.data_base64 is not None and self.media_type is None:
            raise ValueError("data_base64 needs media_type")
        return self


class ChatIn(Strict):
    """The body of `POST /chat/stream`: a message, tool calls, or both."""

    message: str = Field("", description="The user's message. If it is empty, the tool calls run without a model.")
    session_id: UUID | None = Field(None, description="The session to continue. Null starts a new one.")
    model: ModelName | None = Field(None, description="The model to answer. Null is the provider's default model.")
    provider: Name | None = Field(None, description="The provider to answer. Null is the default provider.")
    tool_calls: Annotated[list[ToolCallIn], Field(max_length=MAX_TOOL_CALLS)] = Field(
        [], description="Tools that run first, in this order. The model sees their results."
    )
    client_tools: Annotated[list[ClientToolIn], Field(max_length=MAX_CLIENT_TOOLS)] = Field(
        [], description="Tools that the client runs, of at most 64 KiB in all. The model sees them beside the others."
    )
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_ATTACHMENTS)] = Field(
        [], description="Pictures beside the message."
    )
    instructions: Annotated[str, Field(max_length=100_000)] | None = Field(
        None, description="The system prompt of this run. Null is `SYSTEM_PROMPT`."
    )
    tools: Annotated[list[Name], Field(max_length=64)] | None = Field(
        None,
        description="The offered tools, by name or pattern such as `fs.*`. Null offers every allowed tool.",
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The most tokens of one model call. Null leaves it to the service and the model."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="The sampling temperature. Null is the model's default."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="The share of likely tokens to sample from. Null leaves it to the service."
    )
    stop: Annotated[list[StopText], Field(min_length=1, max_length=4)] | None = Field(
        None, description="Texts that end the answer. Null sets none."
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="The seed of the sampling. Null leaves it to the service."
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="The penalty of tokens that occurred. Null leaves it to the service."
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="The penalty of tokens by how often they occurred. Null leaves it to the service."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None,
        description="The effort of the model's reasoning, as far as the model takes it. Null leaves it to the service.",
    )
    reasoning: Literal["hide", "show"] = Field(
        "hide", description="With `show`, `reasoning` events are sent, which needs the scope `reasoning`."
    )
    output_schema: dict[str, Any] | None = Field(
        None, description="The JSON Schema of the last answer, of at most 64 KiB. Null leaves the answer free."
    )
    tool_choice: Name | None = Field(
        None, description="`auto`, `none`, `required` or a tool's name. Null leaves it to the service."
    )
    parallel_tool_calls: bool | None = Field(
        None, description="True lets the model call several tools at once. Null leaves it to the service."
    )
    extra_body: SmallObject | None = Field(
        None, description="The service's own fields, as far as its settings allow them. Null adds none."
    )
    on_disconnect: Literal["cancel", "continue"] = Field(
        "cancel",
        description="With `cancel` (default), a run without subscribers ends; with `continue`, it runs to its end.",
    )
    stream: bool | None = Field(
        None,
        description="False asks for one JSON object, true for events. Null leaves it to the `Accept` header.",
    )
    user: Annotated[str, Field(max_length=255)] = Field(
        "", description="The caller's own label of its user, stored on the session. It grants nothing."
    )
    metadata: SmallObject = Field(
        {}, description="Any values of the caller, of at most 16 KiB as JSON, stored on the run."
    )

    @field_validator("model", "provider", mode="before")
    @classmethod
    def empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @model_validator(mode="after")
    def asks_something(self) -> "ChatIn":
        if not self.message and not self.tool_calls and not self.attachments:
            raise ValueError("give a message, tool_calls, or both")
        return self
