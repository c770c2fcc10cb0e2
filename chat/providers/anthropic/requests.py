"""The requests to Anthropic: https://docs.anthropic.com/en/api/messages.

Roles alternate, every call is followed by its result, and no text is empty. Thinking only goes back to the model that
wrote it, behind the prefix with which it was written.
"""

import base64
import re
from functools import lru_cache
from typing import Final

import msgspec

from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from chat.providers.anthropic.blocks import Json
from chat.providers.anthropic.effort import thinking
from chat.providers.anthropic.parts import Prefix, has_own_parts
from chat.providers.base import MAX_OFFERS
from chat.providers.sent_calls import SentIds, sent_arguments
from chat.providers.tool_text import call_text, result_text
from tools.base import ToolSpec
from tools.registry import wire_name

VALID_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
EARLIER: Final = "[The conversation before this is not shown.]"
CACHED: Final = {"cache_control": {"type": "ephemeral"}}
"""The mark at the end of a prefix that the service caches. A request may have four."""

encode = msgspec.json.Encoder().encode


def body(request: CompletionRequest, max_tokens: int) -> Json:
    """Return the body of a request."""
    history = _History(request)
    for message in request.messages:
        history.add(message)
    sent = history.sent
    if not sent or sent[0]["role"] != "user":
        sent.insert(0, {"role": "user", "content": [{"type": "text", "text": EARLIER}]})
    # The newest mark writes the cache for the next request, and the one before reads that of the last request.
    for one in [one for one in sent if one["role"] == "user"][-2:]:
        one["content"][-1] = {**one["content"][-1], **CACHED}
    body: Json = {"model": request.model, "max_tokens": max_tokens, "stream": True, "messages": sent}
    if request.instructions.strip():
        body["system"] = [{"type": "text", "text": request.instructions, **CACHED}]
    sampling = request.sampling
    if request.tools:
        body["tools"] = _tools(request.tools)
        if sampling.tool_choice is not None or sampling.parallel_tool_calls is not None:
            body["tool_choice"] = _tool_choice(sampling.tool_choice or "auto", sampling.parallel_tool_calls)
    chosen = {"temperature": sampling.temperature, "top_p": sampling.top_p, "stop_sequences": sampling.stop}
    body |= thinking(request, max_tokens, sent)
    return body | {name: value for name, value in chosen.items() if value is not None}


def _tool_choice(choice: str, parallel: bool | None) -> Json:
    """Return Anthropic's form of two options: https://docs.anthropic.com/en/api/messages#body-tool-choice."""
    kinds = {"auto": "auto", "none": "none", "required": "any"}
    form: Json = {"type": kinds[choice]} if choice in kinds else {"type": "tool", "name": wire_name(choice)}
    # Without a call there is nothing to be parallel, and the service rejects the field.
    return form if parallel is None or choice == "none" else {**form, "disable_parallel_tool_use": not parallel}


class _History:
    """The messages so far. `_ids` has the id of each open call as it is sent, by the id that is stored."""

    def __init__(self, request: CompletionRequest) -> None:
        self.sent: list[Json] = []
        self._request = request
        self._sent_ids = SentIds(VALID_ID)
        self._ids: dict[str, str] = {}
        # Reading the whole conversation is only worth it if there is something to compare.
        own = any(has_own_parts(message, request.model) for message in request.messages)
        self._prefix = Prefix(request) if own else None

    def add(self, message: Message) -> None:
        """Add a message, or join it to the one before if both have the same role."""
        digest = self._prefix.add(message) if self._prefix else ""
        if isinstance(message, AssistantMessage):
            role, blocks = "assistant", self._assistant(message, digest)
        else:
            role = "user"
            blocks = [self._result(message)] if isinstance(message, ToolMessage) else _user(message)
        if blocks and self.sent and self.sent[-1]["role"] == role:
            self.sent[-1]["content"] += blocks
        elif blocks:
            self.sent.append({"role": role, "content": blocks})

    def _assistant(self, message: AssistantMessage, digest: str) -> list[Json]:
        text: list[Json] = [{"type": "text", "text": message.text}] if message.text.strip() else []
        if message.tool_calls and not self._request.tools:
            # The service takes no calls in a request that offers no tools.
            return [*text, *({"type": "text", "text": call_text(call)} for call in message.tool_calls)]
        self._ids = {call.call_id: self._sent_ids.new(call.call_id) for call in message.tool_calls}
        calls = {
            call.call_id: {
                "type": "tool_use",
                "id": self._ids[call.call_id],
                "name": wire_name(call.name),
                "input": msgspec.Raw(sent_arguments(call.arguments)),
            }
            for call in message.tool_calls
        }
        parts = message.provider_parts
        if parts and has_own_parts(message, self._request.model) and parts.data["digest"] == digest:
            own = [calls[block["id"]] if block["type"] == "tool_use" else block for block in parts.data["blocks"]]
            if own:
                return own
        return [*text, *calls.values()]

    def _result(self, message: ToolMessage) -> Json:
        call_id = self._ids.pop(message.call_id, None)
        if call_id is None:
            return {"type": "text", "text": result_text(message)}
        result: Json = {"type": "tool_result", "tool_use_id": call_id}
        if message.content.strip():
            result["content"] = message.content
        return result | ({"is_error": True} if message.is_error else {})


def _user(message: UserMessage) -> list[Json]:
    blocks: list[Json] = [{"type": "text", "text": message.text}] if message.text.strip() else []
    for image in message.images:
        data = base64.b64encode(image.data).decode()
        blocks.append({"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}})
    return blocks


# Encoding the schemas of all tools costs more than the rest of a request, and they rarely change.
@lru_cache(maxsize=MAX_OFFERS)
def _tools(tools: tuple[ToolSpec, ...]) -> msgspec.Raw:
    offered: list[Json] = [
        {"name": wire_name(tool.name), "description": tool.description, "input_schema": tool.parameters}
        for tool in tools
    ]
    offered[-1] |= CACHED
    return msgspec.Raw(encode(offered))
