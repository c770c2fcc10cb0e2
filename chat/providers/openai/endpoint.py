"""An endpoint: one service with OpenAI's API, and the properties that are known without a request."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec

from chat.pricing.price_list import ListPrice

KeyHeader = Literal["authorization", "api-key"]


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model, or all whose names match a pattern such as `qwen*`, as the operator describes it. None is unknown."""

    name: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool = True
    images: bool = True
    schemas: bool = True
    price: ListPrice | None = None


class SpeechAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The place of an endpoint's speech: a URL with its `/v1`, and the key for it."""

    base_url: str
    api_key: str = ""
    key_header: KeyHeader = "authorization"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A service at `base_url`, with its `/v1` and the query that it needs, if any.

    The key is sent as `Authorization: Bearer`, or as `api-key`. `headers`, `query` and `body` are sent with every
    request; fields of `body` take precedence. Requests may set the fields named in `extra_body`. `ca_file`,
    `client_certificate` and `client_key` are for TLS. With a `unix_socket`, the host of the URL is only a name.
    An endpoint with `speech` is a provider of speech too.
    """

    name: str
    base_url: str
    api_key: str = ""
    key_header: KeyHeader = "authorization"
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}
    extra_body: tuple[str, ...] = ()
    organization: str = ""
    project: str = ""
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    unix_socket: Path | None = None
    default_model: str = ""
    models: tuple[KnownModel, ...] = ()
    speech: SpeechAddress | None = None

    def known(self, model: str) -> KnownModel | None:
        """Return the known properties of a model: those of the first name or pattern that matches."""
        return next((known for known in self.models if fnmatchcase(model, known.name)), None)

    def request_headers(self) -> dict[str, str]:
        """Return the headers of every request, the key among them."""
        headers: dict[str, str] = {}
        if self.api_key:
            is_plain = self.key_header == "api-key"
            headers |= {"api-key": self.api_key} if is_plain else {"Authorization": f"Bearer {self.api_key}"}
        headers |= {"OpenAI-Organization": self.organization} if self.organization else {}
        headers |= {"OpenAI-Project": self.project} if self.project else {}
        return {**headers, **self.headers}

    def secrets(self) -> tuple[str, ...]:
        """Return the values that must be masked: the key, and whatever a header or a query may carry as one."""
        own = (self.speech.api_key,) if self.speech else ()
        return (self.api_key, *own, *self.headers.values(), *self.query.values())
