"""The list of models of an OpenAI-compatible service, in every shape in which it comes."""

import json
from typing import Any, Final

from chat.engine.model_port import ProviderError

LISTS: Final = ("data", "models", "items", "result")
NAMES: Final = ("id", "model", "name", "key")


def listed_models(text: str) -> set[str]:
    """Return the names of the models in the text of an answer. Raise `ProviderError` if it is not a list of models."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        body = next((body[name] for name in LISTS if isinstance(body.get(name), list)), None)
    if not isinstance(body, list):
        message = "The service's answer is not a list of models."
        raise ProviderError(message, code="provider_protocol", retryable=True)
    return {name for item in body if (name := _name(item))}


def _name(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return ""
    return next((item[name] for name in NAMES if isinstance(item.get(name), str) and item[name]), "")
