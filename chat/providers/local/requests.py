"""The requests to llama.cpp: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md."""

from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from chat.engine.messages import AssistantMessage, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest, ProviderError
from chat.providers.tool_text import call_text, result_text

DEFAULT_OUTPUT_TOKENS: Final = 512

# At llama.cpp's own default of 0.8, a model of this size babbles.
DEFAULT_TEMPERATURE: Final = 0.0

# Without instructions, the shipped model's chat template adds its own, and the model then misses the capital of France.
DEFAULT_INSTRUCTIONS: Final = "You are a helpful assistant."

# Without a penalty, a small model at temperature 0 repeats itself endlessly. This one does not harm counting or code.
REPETITION_PENALTY: Final = 0.8
"""The multiplier of the DRY sampler (`dry_multiplier`)."""


PLAIN: Final = ("top_p", "stop", "seed", "presence_penalty", "frequency_penalty")
"""Options that llama.cpp has under the same names."""

OPTIONS: Final = frozenset({"max_output_tokens", "temperature", *PLAIN})


def body(request: CompletionRequest) -> bytes:
    """Return the request as JSON. Raise `ProviderError` if the conversation is not valid Unicode."""
    sampling = request.sampling
    fields: dict[str, Any] = {
        "messages": chat_messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        # A chunk after each batch of the prompt, at which the request can be stopped.
        "return_progress": True,
        "temperature": DEFAULT_TEMPERATURE if sampling.temperature is None else sampling.temperature,
        "max_tokens": DEFAULT_OUTPUT_TOKENS if sampling.max_output_tokens is None else sampling.max_output_tokens,
        "dry_multiplier": REPETITION_PENALTY,
        **{name: getattr(sampling, name) for name in PLAIN if getattr(sampling, name) is not None},
    }
    if request.output_schema is not None:
        # llama.cpp turns it into a grammar.
        schema = {"schema": request.output_schema.fields}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError as error:
        message = "The conversation has half of a surrogate pair, which is not Unicode"
        raise ProviderError(message, code="provider_rejected", retryable=False) from error


def chat_messages(request: CompletionRequest) -> list[dict[str, str]]:
    """Return the messages as text, because the model knows no tools."""
    lines = [("system", request.instructions or DEFAULT_INSTRUCTIONS)]
    for message in request.messages:
        match message:
            case UserMessage():
                lines.append(("user", message.text))
            case AssistantMessage():
                text = "\n".join(filter(None, (message.text, *map(call_text, message.tool_calls))))
                lines.append(("assistant", text))
            case ToolMessage():
                lines.append(("user", result_text(message)))
    # Many chat templates require that the roles alternate.
    return [
        {"role": role, "content": "\n\n".join(text for _, text in group)}
        for role, group in groupby(filter(itemgetter(1), lines), key=itemgetter(0))
    ]
