"""What llama.cpp is asked: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md."""

from itertools import groupby
from operator import itemgetter
from typing import Final

import msgspec

from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest, ProviderError
from chat.providers.tool_text import call_text, result_text

DEFAULT_OUTPUT_TOKENS: Final = 512
DEFAULT_TEMPERATURE: Final = 0.0
"""At llama.cpp's own 0.8 a model of this size babbles."""

DEFAULT_INSTRUCTIONS: Final = "You are a helpful assistant."
"""Where there are none, the shipped model's chat template puts others, with which it misses the capital of France."""

REPETITION_PENALTY: Final = 0.8
"""Of the DRY sampler (`dry_multiplier`), which breaks the endless loops of a greedy small model.

It leaves counting and code alone.
"""


def body(request: CompletionRequest) -> bytes:
    """The request as JSON. Raises `ProviderError` where the conversation is not Unicode."""
    sampling = request.sampling
    asked = {
        "messages": chat_messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a chunk after each batch of the prompt, so that it can be stopped there
        "temperature": DEFAULT_TEMPERATURE if sampling.temperature is None else sampling.temperature,
        "max_tokens": DEFAULT_OUTPUT_TOKENS if sampling.max_output_tokens is None else sampling.max_output_tokens,
        "dry_multiplier": REPETITION_PENALTY,
    }
    try:
        return msgspec.json.encode(asked)
    except UnicodeEncodeError as error:
        message = "The conversation has half of a surrogate pair, which is not Unicode"
        raise ProviderError(message, code="provider_rejected", retryable=False) from error


def chat_messages(request: CompletionRequest) -> list[dict[str, str]]:
    """One message of each role in turn, as many chat templates insist."""
    spoken = (line for line in map(_line, request.messages) if line[1])
    lines = [("system", request.instructions or DEFAULT_INSTRUCTIONS), *spoken]
    return [
        {"role": role, "content": "\n\n".join(text for _, text in group)}
        for role, group in groupby(lines, key=itemgetter(0))
    ]


def _line(message: Message) -> tuple[str, str]:
    """The role and the text of a message. Calls and results are told in words, for the model knows no tools."""
    match message:
        case UserMessage():
            return "user", message.text
        case AssistantMessage():
            return "assistant", "\n".join(filter(None, (message.text, *map(call_text, message.tool_calls))))
        case ToolMessage():
            return "user", result_text(message)
