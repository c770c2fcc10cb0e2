"""The bodies of Open Responses.

Sources: https://www.openresponses.org/reference, https://platform.openai.com/docs/api-reference/responses/create
"""

from typing import Annotated, Any, Final, Literal

from ninja import Field
from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from chat.api.openai.schemas import MAX_MESSAGES, MAX_PARTS, FunctionIn
from chat.api.request_schemas import MAX_CLIENT_TOOLS
from web.schemas import Strict

Id = Annotated[str, Field(min_length=1, max_length=200)]


class Item(BaseModel):
    """An item of the input. Clients send back items of an output, with fields that have no effect here."""

    model_config = ConfigDict(extra="ignore")


class ItemText(Item):
    """A text in a message."""

    type: Literal["input_text", "output_text", "text", "refusal", "reasoning_text", "summary_text"] = Field(
        description="The kind of the part."
    )
    text: str = Field("", description="The text.")
    refusal: str = Field("", description="The text of a refusal.")


class ItemImage(Item):
    """A picture in a message."""

    type: Literal["input_image"] = Field(description="The kind of the part.")
    image_url: str = Field(description="A `data:` URL with the picture as base64. Other URLs are not fetched.")


Part = Annotated[ItemText | ItemImage, Field(discriminator="type")]
Content = str | Annotated[list[Part], Field(max_length=MAX_PARTS)]


class MessageItem(Item):
    """A message of the conversation."""

    type: Literal["message"] = Field("message", description="The kind of the item.")
    role: Literal["user", "assistant", "system", "developer"] = Field(description="The author.")
    content: Content = Field(description="The text, or its parts.")


class CallItem(Item):
    """A call of a function by the model, or of a tool of the service (`mcp_call`) with its outcome."""

    type: Literal["function_call", "mcp_call"] = Field(description="The kind of the item.")
    id: str | None = Field(None, description="The id of the item. Null if it has none.")
    call_id: str | None = Field(None, description="The id of the call. Null for `mcp_call`.")
    name: str = Field(description="The name of the function or tool.")
    arguments: str = Field(description="The arguments as JSON text.")
    output: str | None = Field(None, description="The outcome of an `mcp_call`. Null if it failed.")


class CallOutputItem(Item):
    """The result of a function."""

    type: Literal["function_call_output"] = Field(description="The kind of the item.")
    call_id: Id = Field(description="The call that it answers.")
    output: Content = Field(description="The result as text, or its parts.")


class ApprovalItem(Item):
    """A decision about a tool that waits for an approval. The key needs the scope `approve`."""

    type: Literal["mcp_approval_response"] = Field(description="The kind of the item.")
    approval_request_id: Id = Field(description="The id of the `mcp_approval_request`.")
    approve: bool = Field(description="True lets the tool run.")
    reason: Annotated[str, Field(max_length=2_000)] | None = Field(None, description="A note. Null is none.")


class OutputItem(Item):
    """An item of an output that has no effect in an input."""

    type: Literal["reasoning", "mcp_approval_request", "mcp_list_tools"] = Field(description="The kind of the item.")


def _kind(item: Any) -> str | None:
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", None)
    return KINDS.get(kind) if isinstance(kind, str) else None


KINDS: Final = {
    "message": "message",
    "function_call": "call",
    "mcp_call": "call",
    "function_call_output": "output",
    "mcp_approval_response": "approval",
    "reasoning": "other",
    "mcp_approval_request": "other",
    "mcp_list_tools": "other",
}
InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("call")]
    | Annotated[CallOutputItem, Tag("output")]
    | Annotated[ApprovalItem, Tag("approval")]
    | Annotated[OutputItem, Tag("other")],
    Discriminator(
        _kind,
        custom_error_type="unknown_item",
        custom_error_message="The type of an item must be one of: " + ", ".join(KINDS),
    ),
]


class FunctionTool(FunctionIn):
    """A function that the client runs."""

    type: Literal["function"] = Field(description="The kind of the tool.")


class FunctionChoice(Strict):
    """The function that must be called first."""

    type: Literal["function"] = Field(description="The kind of the tool.")
    name: str = Field(description="The function's name.")


class TextFormat(Strict):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"] = Field(description="The kind of the form.")
    name: str = Field("answer", description="Without effect.")
    description: str | None = Field(None, description="Without effect. Null is the same.")
    schema_: dict[str, Any] | None = Field(
        None, alias="schema", description="The schema for `json_schema`. Null otherwise."
    )
    strict: bool | None = Field(None, description="Without effect: the answer is always checked.")


class TextOptions(Strict):
    """Options of the answer's text."""

    format: TextFormat | None = Field(None, description="The form of the answer. Null is text.")
    verbosity: str | None = Field(None, description="Without effect.")


class ReasoningOptions(Strict):
    """Options of the model's reasoning."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="Null leaves it to the service."
    )
    summary: Literal["auto", "concise", "detailed"] | None = Field(
        None, description="Any value shows the reasoning, if the key has the scope `reasoning`. Null hides it."
    )


class ConversationRef(Strict):
    """A conversation, which is a session of the service."""

    id: Id = Field(description="The id: `conv_` and the session's.")


class ResponseStreamOptions(Strict):
    """Options of a stream."""

    include_obfuscation: bool | None = Field(None, description="Without effect.")


class ResponseIn(Strict):
    """The body of `POST /v1/responses`."""

    model: str = Field(
        min_length=1,
        max_length=255,
        description="A model of `GET /v1/models`; with `:plain` behind it, no tool of the service is offered.",
    )
    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)] = Field(
        description="The new message as text, or items: messages, or the client's answers to calls and approvals."
    )
    instructions: str | None = Field(None, description="The system prompt. Null is that of the service.")
    previous_response_id: Id | None = Field(
        None, description="The response that this one continues. Null begins a conversation."
    )
    conversation: Id | ConversationRef | None = Field(
        None, description="The conversation to continue. Null is a new one."
    )
    stream: bool | None = Field(None, description="True streams events. Null is false.")
    stream_options: ResponseStreamOptions | None = Field(None, description="Options of the stream. Null sets none.")
    background: bool | None = Field(
        None, description="True answers at once, and the run goes to its end without a reader. Null is false."
    )
    store: bool | None = Field(
        None, description="False makes the response unreadable afterwards; the service's record stays. Null is true."
    )
    tools: Annotated[list[FunctionTool], Field(max_length=MAX_CLIENT_TOOLS)] | None = Field(
        None, description="Functions that the client runs. Null is none."
    )
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = Field(
        None, description="Null and `auto` leave it to the model."
    )
    parallel_tool_calls: bool | None = Field(None, description="False asks for one call at a time. Null is true.")
    text: TextOptions | None = Field(None, description="Options of the answer's text. Null sets none.")
    reasoning: ReasoningOptions | None = Field(None, description="Options of the reasoning. Null sets none.")
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The most tokens of one model call. Null leaves it to the service."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="Null is the model's default.")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="Null leaves it to the service.")
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="Null leaves it to the service."
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="Null leaves it to the service."
    )
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = Field(
        None, description="Texts that are stored on the run. Null stores none."
    )
    user: Annotated[str, Field(max_length=255)] | None = Field(
        None, description="The caller's own label of its user. Null is none."
    )
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="Without effect: a long conversation is summarised. Null is the same."
    )
    include: list[str] | None = Field(None, description="Without effect. Null is the same.")
    top_logprobs: Literal[0] | None = Field(None, description="No probabilities are returned. Null is 0.")
    service_tier: str | None = Field(None, description="Without effect. Null is the same.")
    safety_identifier: str | None = Field(None, description="Without effect. Null is the same.")
    prompt_cache_key: str | None = Field(None, description="Without effect. Null is the same.")


RESPONSE_OBJECT: Final = {"type": "object", "description": "A response of Open Responses."}
RESPONSE: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The response, or with `stream` its events, each with a `sequence_number`.",
            "content": {
                "application/json": {"schema": RESPONSE_OBJECT},
                "text/event-stream": {"schema": {"type": "string", "description": "The events."}},
            },
        }
    }
}
OBJECT: Final[dict[str, Any]] = {
    "responses": {200: {"description": "The object.", "content": {"application/json": {"schema": RESPONSE_OBJECT}}}}
}
