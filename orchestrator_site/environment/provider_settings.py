"""The settings of services that the operator names: providers of models and their endpoints, MCP and HTTP services."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from chat.engine.model_port import TokensUsed
from chat.pricing.price_list import ListPrice
from chat.providers import endpoint_file, openai, presets
from chat.providers.openai.endpoint import Endpoint
from orchestrator_site.environment.variables import Environment
from plugins.setting import Setting
from retrieval.remote.service import EmbeddingService
from tools.http_tools import services as service_file
from tools.http_tools.services import HttpService
from tools.mcp_client import servers as server_file
from tools.mcp_client.servers import McpServer
from web.toml_file import InvalidFile, secret_parts
from web.urls import endpoint as url_below


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
    except InvalidFile as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def mcp_servers(env: Environment, name: str) -> tuple[McpServer, ...]:
    """Return the MCP servers of the file that the variable `name` names; none without it."""
    if not env.text(name):
        return ()
    try:
        # A header's variable may also be named with `_FILE`, as those of other secrets.
        return server_file.read(env.path(name, ""), env.secret)
    except InvalidFile as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def mcp_variables(env: Environment, prefix: str) -> dict[str, str]:
    """Return the values that entries of MCP servers in the console may use: of all variables with a prefix."""
    names = {name.removesuffix("_FILE") for name in env.variables if name.startswith(prefix)}
    return {name: env.secret(name) for name in names}


def secrets_of(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in the values of variables for header fields."""
    return secret_parts(variables.values())


def http_services(env: Environment, name: str) -> tuple[HttpService, ...]:
    """Return the HTTP services of the file that the variable `name` names; none without it."""
    if not env.text(name):
        return ()
    try:
        return service_file.read(env.path(name, ""), env.secret)
    except InvalidFile as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def embedding_service(
    text: str, values: Mapping[str, Any], endpoints: Iterable[Endpoint], prices: Sequence[ListPrice]
) -> EmbeddingService | None:
    """Return the service that a text such as `openai:text-embedding-3-small` names; None if it is empty.

    `values` are the settings of the providers of models. Raises `ValueError`.
    """
    if not text:
        return None
    declared = {openai.SPEC.name: openai.configured_endpoint(values), **{each.name: each for each in endpoints}}
    name, _, model = text.partition(":")
    found = declared.get(name.strip())
    if found is None or not model.strip():
        raise ValueError(f"it must be ENDPOINT:MODEL, with one of the endpoints {', '.join(declared)}")
    spec = openai.SPEC if found.name == openai.SPEC.name else openai.endpoint_spec(found)
    listed = [known.price for known in found.models if known.price]

    def price(tokens: int) -> float | None:
        from chat.pricing.prices import Prices  # noqa: PLC0415 - it loads the data of all vendors

        vendor = spec.price_vendor(values)
        known = Prices({spec.name: vendor} if vendor else {}, own=(*prices, *listed))
        return known(spec.name, model.strip(), TokensUsed(input_tokens=tokens, output_tokens=0))

    return EmbeddingService(
        name=found.name,
        model=model.strip(),
        url=url_below(found.base_url, "/embeddings", found.query),
        headers=found.request_headers(),
        ca_file=found.ca_file,
        client_certificate=found.client_certificate,
        client_key=found.client_key,
        unix_socket=found.unix_socket,
        missing=spec.missing(values),
        price=price,
    )


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
