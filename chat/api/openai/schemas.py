"""The bodies of OpenAI's chat completions and models.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Annotated, Any, Final, Literal

from ninja import Field, Schema
from pydantic import BaseModel, ConfigDict

from chat.api.request_schemas import MAX_CLIENT_TOOLS, ClientToolIn, ClientToolName, Description
from web.schemas import Strict

MAX_MESSAGES: Final = 4_000
MAX_PARTS: Final = 256


class TextPart(Strict):
    """A text in a message."""

    type: Literal["text", "refusal"] = Field(description="The kind of the part.")
    text: str = Field("", description="The text.")
    refusal: str = Field("", description="The text of a refusal, in an assistant's message.")


class ImageUrl(Strict):
    """The place of a picture."""

    url: str = Field(description="A `data:` URL with the picture as base64. Other URLs are not fetched.")
    detail: str | None = Field(None, description="Without effect.")


class ImagePart(Strict):
    """A picture in a message."""

    type: Literal["image_url"] = Field(description="The kind of the part.")
    image_url: ImageUrl = Field(description="The picture.")


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Content = str | Annotated[list[Part], Field(max_length=MAX_PARTS)]


class Function(Strict):
    """A call of a function."""

    name: str = Field(description="The name of the function.")
    arguments: str = Field(description="The arguments as JSON text.")


class Call(BaseModel):
    """A tool call of an assistant's message."""

    # Clients send back what services added, such as an index.
    model_config = ConfigDict(extra="ignore")

    id: str = Field(description="The id of the call.")
    type: Literal["function"] = Field("function", description="The kind of the call.")
    function: Function = Field(description="The function that was called.")


class MessageIn(BaseModel):
    """A message of the conversation."""

    # An assistant's message comes back with the fields that its service gave it.
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(description="The author.")
    content: Content | None = Field(None, description="The text, or its parts. Null if there is none.")
    tool_calls: list[Call] | None = Field(None, description="The calls of an assistant. Null if it made none.")
    tool_call_id: str | None = Field(None, description="The call that a tool's message answers. Null for other roles.")
    name: str | None = Field(None, description="Without effect.")


class StreamOptions(Strict):
    """Options of a stream."""

    include_usage: bool = Field(default=False, description="True adds a last chunk with the usage.")
    include_obfuscation: bool = Field(default=False, description="Without effect.")


class JsonSchema(Strict):
    """The JSON Schema of an answer."""

    name: str = Field("answer", description="Without effect.")
    description: str | None = Field(None, description="Without effect.")
    schema_: dict[str, Any] = Field(alias="schema", description="The JSON Schema.")
    strict: bool | None = Field(None, description="Without effect: the answer is always checked.")


class ResponseFormat(Strict):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"] = Field(description="The kind of the form.")
    json_schema: JsonSchema | None = Field(None, description="The schema for `json_schema`. Null otherwise.")


class FunctionIn(Strict):
    """A function of the client."""

    name: ClientToolName = Field(description="The name. It differs from the names of the service's tools.")
    description: Description | None = Field(None, description="The description for the model. Null is none.")
    parameters: dict[str, Any] | None = Field(None, description="The JSON Schema of the arguments. Null is none.")
    strict: bool | None = Field(None, description="Without effect: the arguments are always checked.")

    @property
    def declared(self) -> ClientToolIn:
        """The function as a client tool."""
        fields = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return ClientToolIn.model_validate({name: value for name, value in fields.items() if value is not None})


class ToolIn(Strict):
    """A tool that the client runs."""

    type: Literal["function"] = Field(description="The kind of the tool.")
    function: FunctionIn = Field(description="The function.")


class ChosenFunction(BaseModel):
    """The name of a function."""

    name: str = Field(description="The function's name.")


class ToolChoice(BaseModel):
    """The function that must be called first."""

    type: Literal["function"] = Field(description="The kind of the tool.")
    function: ChosenFunction = Field(description="The function.")


class CompletionIn(Strict):
    """The body of `POST /v1/chat/completions`."""

    model: str = Field(
        min_length=1,
        max_length=255,
        description="A model of `GET /v1/models`; with `:plain` behind it, no tool of the service is offered.",
    )
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MAX_MESSAGES)] = Field(
        description="The whole conversation. With `X-Session-Id` only its last message is used."
    )
    stream: bool | None = Field(None, description="True streams chunks. Null is false.")
    stream_options: StreamOptions | None = Field(None, description="Options of the stream. Null sets none.")
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The older name of `max_completion_tokens`. Null leaves it to the service."
    )
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The most tokens of one model call. Null leaves it to the service."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="Null is the model's default.")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="Null leaves it to the service.")
    stop: str | Annotated[list[str], Field(max_length=4)] | None = Field(None, description="Null sets none.")
    seed: int | None = Field(None, description="Null leaves it to the service.")
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="Null leaves it to the service."
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="Null leaves it to the service."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="Null leaves it to the service."
    )
    response_format: ResponseFormat | None = Field(None, description="Null leaves the answer free.")
    tools: Annotated[list[ToolIn], Field(max_length=MAX_CLIENT_TOOLS)] | None = Field(
        None, description="Tools that the client runs. Null is none."
    )
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = Field(
        None, description="Null and `auto` leave it to the model."
    )
    parallel_tool_calls: bool | None = Field(None, description="False asks for one call at a time. Null is true.")
    n: Literal[1] | None = Field(None, description="Only one answer is made. Null is 1.")
    user: Annotated[str, Field(max_length=255)] | None = Field(
        None, description="The caller's own label of its user. Null is none."
    )
    metadata: dict[str, Any] | None = Field(None, description="Values that are stored on the run. Null stores none.")
    store: bool | None = Field(None, description="Without effect: every run is stored. Null is the same.")
    service_tier: str | None = Field(None, description="Without effect. Null is the same.")
    safety_identifier: str | None = Field(None, description="Without effect. Null is the same.")
    prompt_cache_key: str | None = Field(None, description="Without effect. Null is the same.")
    verbosity: str | None = Field(None, description="Without effect. Null is the same.")


class ModelOut(Schema):
    """A model that may be named in a request."""

    id: str = Field(description="The name of the model.")
    object: Literal["model"] = Field("model", description="The kind of the object.")
    created: int = Field(0, description="Always 0: no service reports it for all models.")
    owned_by: str = Field(description="The provider of the model.")


class ModelsOut(Schema):
    """The models."""

    object: Literal["list"] = Field("list", description="The kind of the object.")
    data: list[ModelOut] = Field(description="The models, each also without the service's tools (`:plain`).")


COMPLETION: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The completion, or with `stream` its chunks as server-sent events, up to `[DONE]`.",
            "content": {
                "application/json": {"schema": {"type": "object", "description": "OpenAI's `chat.completion`."}},
                "text/event-stream": {"schema": {"type": "string", "description": "OpenAI's chunks."}},
            },
        }
    }
}
