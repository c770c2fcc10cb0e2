"""The messages of a request in a form that every OpenAI-compatible service takes.

Roles alternate, ids of calls are unique, names are valid, and arguments are an object. What the same model sent in
fields of its own goes back as it came.
"""

import base64
import re
from collections.abc import Sequence
from typing import Any, Final

from chat.engine.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from chat.providers.openai.own_fields import own_fields
from chat.providers.sent_calls import SentIds, sent_arguments
from tools.registry import wire_name

PLAIN_ID: Final = re.compile(r"[!-~]{1,40}")
"""The ids that OpenAI takes, and most services with its API."""

# Mistral takes no other ids than these: https://docs.mistral.ai/capabilities/function_calling.
PORTABLE_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")
NEEDED_REASONING: Final = "reasoning_content"
"""The field that DeepSeek and Kimi need in each message with calls: https://api-docs.deepseek.com/guides/thinking_mode."""

NO_REASONING: Final = "[The reasoning is not available.]"
CUT_OFF: Final = "[The answer was cut off.]"

Json = dict[str, Any]


def has_other_ids(request: CompletionRequest) -> bool:
    """Return whether a request has ids of calls that not every service takes."""
    messages = (message for message in request.messages if isinstance(message, AssistantMessage))
    return any(not PORTABLE_ID.fullmatch(call.call_id) for message in messages for call in message.tool_calls)


def sent_messages(
    request: CompletionRequest, *, portable_ids: bool = False, needs_reasoning: bool = False
) -> list[Json]:
    """Return the instructions and the messages of a request, with ids as they came or in a form all services take.

    With `needs_reasoning`, each message with calls has reasoning, even if another model wrote it.
    """
    sent: list[Json] = [{"role": "system", "content": request.instructions}] if request.instructions else []
    history = _History(request.model, PORTABLE_ID if portable_ids else PLAIN_ID, needs_reasoning=needs_reasoning)
    for message in request.messages:
        history.add(message)
    return sent + history.sent


class _History:
    """The messages so far. `_ids` has the id of each open call as it is sent, by the id that is stored."""

    def __init__(self, model: str, valid_id: re.Pattern[str], *, needs_reasoning: bool) -> None:
        self.sent: list[Json] = []
        self._model = model
        self._needs_reasoning = needs_reasoning
        self._sent_ids = SentIds(valid_id)
        self._ids: dict[str, str] = {}

    def add(self, message: Message) -> None:
        """Add a message, or join it to the one before if both have the same author."""
        last = self.sent[-1] if self.sent else {}
        if isinstance(message, ToolMessage):
            call_id = self._ids.get(message.call_id, message.call_id)
            self.sent.append({"role": "tool", "tool_call_id": call_id, "content": message.content})
        elif isinstance(message, UserMessage):
            if last.get("role") == "tool":
                self.sent.append({"role": "assistant", "content": CUT_OFF})
            if last.get("role") == "user":
                last["content"] = _joined(last["content"], _user_content(message))
            else:
                self.sent.append({"role": "user", "content": _user_content(message)})
        # Services reject an answer without text and calls, even if it has reasoning.
        elif message.text or message.tool_calls:
            sent = self._assistant(message)
            if last.get("role") == "assistant" and "tool_calls" not in last:
                sent["content"] = "\n\n".join(filter(None, (last["content"], message.text)))
                self.sent[-1] = sent
            else:
                self.sent.append(sent)

    def _assistant(self, message: AssistantMessage) -> Json:
        fields, extras = own_fields(message, self._model)
        if not message.tool_calls:
            return {**fields, "role": "assistant", "content": message.text}
        if self._needs_reasoning and not fields.get(NEEDED_REASONING):
            fields = {**fields, NEEDED_REASONING: message.reasoning or NO_REASONING}
        self._ids = {call.call_id: self._sent_ids.new(call.call_id) for call in message.tool_calls}
        calls = [{**extras.get(call.call_id, {}), **self._call(call)} for call in message.tool_calls]
        return {**fields, "role": "assistant", "content": message.text or None, "tool_calls": calls}

    def _call(self, call: ToolCall) -> Json:
        function = {"name": wire_name(call.name), "arguments": sent_arguments(call.arguments).decode()}
        return {"id": self._ids[call.call_id], "type": "function", "function": function}


def _user_content(message: UserMessage) -> str | list[Json]:
    if not message.images:
        return message.text
    parts: list[Json] = [{"type": "text", "text": message.text}] if message.text else []
    for image in message.images:
        data = base64.b64encode(image.data).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}})
    return parts


def _joined(first: str | Sequence[Json], second: str | Sequence[Json]) -> str | list[Json]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    parts: list[Json] = []
    for content in (first, second):
        parts += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return parts
