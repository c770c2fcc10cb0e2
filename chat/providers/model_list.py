"""The list of models of a service, in every shape in which it comes."""

import json
from typing import Any, Final

from chat.engine.model_port import ProviderError

LISTS: Final = ("data", "models", "items", "result")
NAMES: Final = ("id", "model", "name", "key")
CONTEXTS: Final = (
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "loaded_context_length",
    "max_input_tokens",
)
"""The names of a context in tokens: OpenRouter, vLLM, Groq, Mistral, LM Studio and Anthropic.

llama.cpp has `meta.n_ctx`.
"""


def listed_models(text: str) -> dict[str, int | None]:
    """Return the models in the text of an answer, with their contexts in tokens if it has them.

    Raise `ProviderError` if it is not a list of models.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        body = next((body[name] for name in LISTS if isinstance(body.get(name), list)), None)
    if not isinstance(body, list):
        message = "The service's answer is not a list of models."
        raise ProviderError(message, code="provider_protocol", retryable=True)
    return {name: _context(item) for item in body if (name := _name(item))}


def _name(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return ""
    return next((item[name] for name in NAMES if isinstance(item.get(name), str) and item[name]), "")


def _context(item: Any) -> int | None:
    if not isinstance(item, dict):
        return None
    meta = item.get("meta")
    values = [item.get(name) for name in CONTEXTS] + [meta.get("n_ctx") if isinstance(meta, dict) else None]
    return next((value for value in values if type(value) is int and value > 0), None)
