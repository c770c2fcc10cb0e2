"""The body of AG-UI. The protocol lets a reader ignore fields that it does not know.

Source: https://docs.ag-ui.com/sdk/js/core/types
"""

from typing import Annotated, Any, Final, Literal

from ninja import Field
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from chat.api.openai.schemas import MAX_MESSAGES, MAX_PARTS
from chat.api.request_schemas import MAX_CLIENT_TOOLS, ClientToolIn, ClientToolName, Description
from web.schemas import drop_defaults

MAX_CONTEXTS: Final = 100

Name = Annotated[str, Field(min_length=1, max_length=200)]


class Open(BaseModel):
    """A part of a body whose other fields have no effect. Names are in camel case."""

    model_config = ConfigDict(
        extra="ignore", alias_generator=to_camel, validate_by_name=True, json_schema_extra=drop_defaults
    )


class AgUiSource(Open):
    """The place of a picture."""

    type: Literal["data", "url", "file"] = Field(description="The kind of the source. Only `data` is read.")
    value: str = Field("", description="The picture as base64.")
    mime_type: str = Field("", description="The media type.")


class AgUiPart(Open):
    """A part of a user's message."""

    type: Literal["text", "image", "audio", "video", "document", "binary"] = Field(description="The kind.")
    text: str = Field("", description="The text.")
    source: AgUiSource | None = Field(None, description="The place of a picture. Null for a text.")


class AgUiFunction(Open):
    """The function of a call."""

    name: str = Field(description="The name of the tool.")
    arguments: str = Field(description="The arguments as JSON text.")


class AgUiCall(Open):
    """A call of an assistant's message."""

    id: Name = Field(description="The id of the call.")
    function: AgUiFunction = Field(description="The tool that was called.")


class AgUiMessage(Open):
    """A message of the thread."""

    id: Name = Field(description="The message's id.")
    role: Literal["developer", "system", "assistant", "user", "tool", "activity", "reasoning"] = Field(
        description="The author. Activities and reasoning have no effect."
    )
    content: Any = Field(None, description="The text, or the parts of a user's message. Null if there is none.")
    tool_calls: Annotated[list[AgUiCall], Field(max_length=MAX_PARTS)] | None = Field(
        None, description="The calls of an assistant. Null if it made none."
    )
    tool_call_id: str | None = Field(None, description="The call that a tool's message answers. Null otherwise.")
    error: Annotated[str, Field(max_length=10_000)] | None = Field(
        None, description="The reason why the tool failed. Null if it did not."
    )


class AgUiTool(Open):
    """A tool of the front end, which the client runs."""

    name: ClientToolName = Field(description="The name. It differs from the names of the service's tools.")
    description: Description = Field("", description="The description for the model.")
    parameters: dict[str, Any] | None = Field(None, description="The JSON Schema of the arguments. Null is none.")

    @property
    def declared(self) -> ClientToolIn:
        """The tool as a client tool."""
        fields = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return ClientToolIn.model_validate({name: value for name, value in fields.items() if value is not None})


class AgUiContext(Open):
    """A fact about the application, for the model."""

    description: str = Field(description="What it is.")
    value: str = Field(description="The fact.")


class AgUiResume(Open):
    """The answer to an interrupt."""

    interrupt_id: Name = Field(description="The id of the interrupt.")
    status: Literal["resolved", "cancelled"] = Field(description="`cancelled` denies.")
    payload: Any = Field(None, description='`{"approved": true, "reason": "..."}`, or a boolean. Null denies.')


class ForwardedProps(Open):
    """Options of the run that AG-UI has no fields for."""

    model: str | None = Field(None, max_length=255, description="The model. Null is the default one.")
    provider: str | None = Field(None, max_length=64, description="The provider. Null is the default one.")
    reasoning: Literal["hide", "show"] | None = Field(None, description="`show` sends the reasoning. Null hides it.")


class RunAgentInput(Open):
    """The body of `POST /ag-ui`."""

    thread_id: Name = Field(description="The conversation, which is a session of the service.")
    run_id: Name = Field(description="The run. The same input that is sent again does not begin a second one.")
    messages: Annotated[list[AgUiMessage], Field(max_length=MAX_MESSAGES)] = Field(
        description="The conversation. Of a thread that the service knows, only the newest messages are read."
    )
    tools: Annotated[list[AgUiTool], Field(max_length=MAX_CLIENT_TOOLS)] = Field(
        [], description="Tools that the client runs."
    )
    context: Annotated[list[AgUiContext], Field(max_length=MAX_CONTEXTS)] = Field(
        [], description="Facts for the model."
    )
    state: Any = Field(None, description="Without effect. Null is the same.")
    forwarded_props: ForwardedProps | None = Field(None, description="Options of the run. Null sets none.")
    resume: Annotated[list[AgUiResume], Field(max_length=MAX_CLIENT_TOOLS)] | None = Field(
        None, description="The answers to the interrupts of the run before. Null if there were none."
    )


EVENTS: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The events of AG-UI. The `id` of a frame is the number of the run's event.",
            "content": {"text/event-stream": {"schema": {"type": "string", "description": "The events."}}},
        }
    }
}
