"""The settings of the providers of models: the variables of each, and the endpoints that are declared."""

import json
from collections.abc import Callable, Collection
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from chat.providers import endpoint_file, presets
from chat.providers.openai.endpoint import Endpoint
from chat.providers.spec import Setting
from orchestrator_site.environment.variables import Environment


def setting(env: Environment, wanted: Setting) -> Any:
    """Return the value of a provider's setting, read as its kind."""
    name, default = wanted.name, wanted.default
    read: dict[str, Callable[[], Any]] = {
        "secret": lambda: env.token(name),
        "url": lambda: env.url(name, default),
        "url_with_query": lambda: env.url(name, default, query=True),
        "file": lambda: env.path(name, "") if env.text(name) else None,
        "integer": lambda: env.integer(name, default, least=wanted.minimum, most=wanted.maximum),
        "names": lambda: env.names(name),
        "texts": lambda: env.parsed(name, json_texts),
        "object": lambda: env.parsed(name, json_object),
        "text": lambda: env.text(name, default),
    }
    return read[wanted.kind]()


def endpoints(env: Environment, name: str, taken: Collection[str]) -> tuple[Endpoint, ...]:
    """Return the endpoints of the usual services' variables, then those of the file that the variable `name` names.

    None may have a name that is `taken`.
    """
    usual = presets.declared(env.token, lambda variable: env.url(variable, query=True))
    if not env.text(name):
        return usual
    names = {*taken, *(endpoint.name for endpoint in usual)}
    try:
        return (*usual, *endpoint_file.read(env.path(name, ""), env.text, names))
    except endpoint_file.InvalidEndpoints as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; an empty text is an empty one. Raises `ValueError`."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError("it must be a JSON object")


def json_texts(text: str) -> dict[str, str]:
    """Parse a JSON object whose values are texts, such as {"X-Team": "blue"}. Raises `ValueError`."""
    value = json_object(text)
    if not all(isinstance(item, str) and item.isprintable() and item.isascii() for item in value.values()):
        raise ValueError("it must be a JSON object whose values are texts of ASCII")
    return value
