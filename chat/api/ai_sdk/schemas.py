"""The bodies of the AI SDK's `useChat`.

Source: https://ai-sdk.dev/docs/ai-sdk-ui/transport
"""

from typing import Annotated, Any, Final, Literal

from ninja import Field
from pydantic import BaseModel, ConfigDict

from chat.api.openai.schemas import MAX_MESSAGES
from chat.api.request_schemas import MAX_CLIENT_TOOLS, ClientToolIn
from web.schemas import Strict

MAX_PARTS: Final = 10_000

Name = Annotated[str, Field(min_length=1, max_length=200)]


class ApprovalPart(BaseModel):
    """The state of an approval in a tool's part."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(description="The id of the approval.")
    approved: bool | None = Field(None, description="The decision. Null if there is none yet.")
    reason: Annotated[str, Field(max_length=2_000)] | None = Field(None, description="A note. Null is none.")


class UiPart(BaseModel):
    """A part of a message. Only texts and files of the newest message, and answers to calls, are read."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    type: str = Field(description="The kind of the part.")
    text: str = Field("", description="The text.")
    url: str = Field("", description="The `data:` URL of a file, which is a picture.")
    call_id: str = Field("", alias="toolCallId", description="The id of a call.")
    state: str = Field("", description="The state of a call, such as `output-available`.")
    output: Any = Field(None, description="The result of a client's tool. Null is a result too.")
    error: str = Field("", alias="errorText", max_length=10_000, description="The error of a client's tool.")
    executed: bool | None = Field(
        None, alias="providerExecuted", description="True for a tool of the service. Null is false."
    )
    approval: ApprovalPart | None = Field(None, description="The approval of a call. Null if it needs none.")


class UiMessage(BaseModel):
    """A message of the chat."""

    model_config = ConfigDict(extra="ignore")

    id: Name = Field(description="The message's id. A user's message that is sent again has the same.")
    role: Literal["system", "user", "assistant"] = Field(description="The author.")
    parts: Annotated[list[UiPart], Field(max_length=MAX_PARTS)] = Field(description="The parts.")


class UiChatIn(Strict):
    """The body of `POST /ai/chat`. The fields from `model` on are given as `body` of the transport."""

    id: Name = Field(description="The chat, which is a session of the service.")
    messages: Annotated[list[UiMessage], Field(min_length=1, max_length=MAX_MESSAGES)] = Field(
        description="The messages. Only the last one is read; the service has the others."
    )
    trigger: Literal["submit-message", "regenerate-message"] = Field(
        "submit-message", description="`regenerate-message` asks the last user's message again."
    )
    message_id: str | None = Field(
        None, alias="messageId", max_length=200, description="The message to regenerate or replace. Null is none."
    )
    model: str | None = Field(None, max_length=255, description="The model. Null is the default one.")
    provider: str | None = Field(None, max_length=64, description="The provider. Null is the default one.")
    instructions: str | None = Field(None, description="The system prompt. Null is that of the service.")
    tools: list[str] | None = Field(None, max_length=100, description="The tools that the model may call. Null is all.")
    client_tools: Annotated[list[ClientToolIn], Field(max_length=MAX_CLIENT_TOOLS)] = Field(
        [], alias="clientTools", description="Tools that the client runs."
    )
    reasoning: Literal["hide", "show"] = Field(
        "hide", description="`show` sends the reasoning, if the key has the scope `reasoning`."
    )


CHUNKS: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The chunks of a UI message stream, version 1, up to `[DONE]`.",
            "content": {"text/event-stream": {"schema": {"type": "string", "description": "The chunks."}}},
        }
    }
}
ACTIVE_CHUNKS: Final[dict[str, Any]] = {
    "responses": {**CHUNKS["responses"], 204: {"description": "The chat has no active run."}}
}
