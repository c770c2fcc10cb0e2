"""The file of endpoints, `PROVIDERS_FILE`: TOML with one table for each. `providers.example.toml` is an example.

Every fault is one sentence with the file, the line and the valid values. Values of secrets are never part of it.
"""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from chat.pricing.price_list import price_list
from chat.providers.openai.endpoint import Endpoint, KeyHeader, KnownModel, SpeechAddress
from web.toml_file import InvalidFile, TomlFile
from web.urls import service_url

TABLE: Final = "endpoints"
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OWN_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "authorization", "api-key"}
)
"""Headers that the service sets itself."""

SPEECH: Final = "speech"
SPEECH_NAMES: Final = frozenset({"google"})
"""The names of providers of speech that are no providers of models."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
Tokens = Annotated[int, msgspec.Meta(ge=256, le=100_000_000)]


class _Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Text
    context_tokens: Tokens | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] | None = None
    tools: bool = True
    images: bool = True
    schemas: bool = True
    price: Text | None = None


class _Speech(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base_url: Text | None = None
    api_key: Text | None = None
    api_key_variable: Text | None = None
    api_key_file: Text | None = None
    key_header: KeyHeader | None = None


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base_url: Text
    api_key: Text | None = None
    api_key_variable: Text | None = None
    api_key_file: Text | None = None
    key_header: KeyHeader = "authorization"
    headers: dict[str, Text] = {}
    query: dict[str, Text] = {}
    body: dict[str, Any] = {}
    extra_body: list[Text] = []
    organization: str = ""
    project: str = ""
    ca_file: Text | None = None
    client_certificate: Text | None = None
    client_key: Text | None = None
    unix_socket: Text | None = None
    default_model: str = ""
    models: list[_Model] = []
    speech: _Speech | None = None


def read(path: Path, variable: Callable[[str], str], taken: Collection[str]) -> tuple[Endpoint, ...]:
    """Return the endpoints of a file, in its order. Raises `InvalidFile`.

    `variable` returns the value of an environment variable; `taken` are names that endpoints cannot have. Relative
    paths are relative to the file.
    """
    file = TomlFile(path)
    found = _Reading(file, variable)
    for name, value in file.tables.items():
        if name != TABLE or not isinstance(value, dict):
            raise found.fault("", name, f"there is no table {name!r}: write [{TABLE}.NAME] for each endpoint")
    endpoints: dict[str, dict[str, Any]] = file.tables.get(TABLE, {})
    for name in endpoints:
        if not NAME.fullmatch(name):
            raise found.fault(name, "", f"the name {name[:40]!r} must be lower-case letters, digits, _ and -")
        if name in taken:
            raise found.fault(name, "", f"the name {name!r} is taken; others are {', '.join(sorted(taken))}")
    return tuple(found.endpoint(name, value) for name, value in endpoints.items())


class _Reading:
    """The reading of one file."""

    def __init__(self, file: TomlFile, variable: Callable[[str], str]) -> None:
        self._toml = file
        self._path = file.path
        self._variable = variable

    def endpoint(self, name: str, value: Any) -> Endpoint:
        try:
            table = msgspec.convert(value, _Table)
        except msgspec.ValidationError as error:
            # The message ends with the place: "... - at `$.models[0].name`".
            what, _, place = str(error).partition(" - at ")
            unknown = re.search(r"unknown field `([^`]*)`", what)
            if unknown:
                parts = {"models": _Model, SPEECH: _Speech}
                table_type = next((parts[part] for part in parts if f"$.{part}" in place), _Table)
                valid = ", ".join(table_type.__struct_fields__)
                what, field = f"there is no field {unknown[1]!r}; there are {valid}", unknown[1]
            else:
                field = (re.findall(r"[a-z_]+", place) or [""])[-1]
                what = f"{field or 'it'}: {what[:1].lower()}{what[1:]}"
            raise self.fault(name, field, what, part=SPEECH if f"$.{SPEECH}" in place else "") from None
        if table.speech is not None and name in SPEECH_NAMES:
            raise self.fault(name, "", f"the name {name!r} is taken for speech; others are {', '.join(SPEECH_NAMES)}")
        for header in table.headers:
            if not HEADER.fullmatch(header) or header.lower() in OWN_HEADERS:
                raise self.fault(name, header, f"the header {header[:40]!r} cannot be set here")
        return Endpoint(
            name=name,
            base_url=self._url(name, table.base_url),
            api_key=self._key(name, table),
            key_header=table.key_header,
            headers=table.headers,
            query=table.query,
            body=table.body,
            extra_body=tuple(table.extra_body),
            organization=table.organization,
            project=table.project,
            ca_file=self._file(name, "ca_file", table.ca_file),
            client_certificate=self._file(name, "client_certificate", table.client_certificate),
            client_key=self._file(name, "client_key", table.client_key),
            unix_socket=self._place(table.unix_socket),
            default_model=table.default_model,
            models=tuple(self._model(name, model) for model in table.models),
            speech=None if table.speech is None else self._speech(name, table, table.speech),
        )

    def fault(self, endpoint: str, field: str, what: str, *, part: str = "") -> InvalidFile:
        """Return the error, with the line of a field of an endpoint, or of a part of it, as far as it can be found."""
        table = [TABLE, endpoint, *([part] if part else [])] if endpoint else []
        return self._toml.fault(table, [field], what)

    def _speech(self, name: str, table: _Table, speech: _Speech) -> SpeechAddress:
        """Return the address of an endpoint's speech. A key is only sent to the place that it was given for."""
        own = speech.base_url is not None
        key = self._key(name, speech, part=SPEECH)
        return SpeechAddress(
            base_url=self._url(name, speech.base_url or table.base_url, part=SPEECH if own else ""),
            api_key=key if key or own else self._key(name, table),
            key_header=speech.key_header or table.key_header,
        )

    def _url(self, name: str, url: str, *, part: str = "") -> str:
        try:
            return service_url(url)
        except ValueError as error:
            raise self.fault(name, "base_url", f"base_url {error}", part=part) from None

    def _key(self, name: str, table: _Table | _Speech, *, part: str = "") -> str:
        given = [field for field in ("api_key", "api_key_variable", "api_key_file") if getattr(table, field)]
        if len(given) > 1:
            raise self.fault(name, given[1], f"give one of {', '.join(given)}", part=part)
        key = table.api_key or ""
        if table.api_key_variable:
            key = self._variable(table.api_key_variable)
            if not key:
                raise self.fault(
                    name, "api_key_variable", f"the variable {table.api_key_variable} is not set", part=part
                )
        elif table.api_key_file:
            try:
                key = (self._path.parent / table.api_key_file).expanduser().read_text().strip()
            except (OSError, UnicodeDecodeError):
                what = "api_key_file names a file that cannot be read"
                raise self.fault(name, "api_key_file", what, part=part) from None
        if not key.isascii() or not key.isprintable() or " " in key:
            raise self.fault(name, given[0], "the key has a character that an HTTP header cannot have", part=part)
        return key

    def _model(self, name: str, model: _Model) -> KnownModel:
        price = None
        if model.price is not None:
            try:
                (price,) = price_list(f"{name}/{model.name}:{model.price}")
            except ValueError:
                valid = "input, output[, cached[, reasoning]] in USD for a million tokens"
                raise self.fault(name, "price", f"the price of {model.name} must be {valid}") from None
        return KnownModel(
            name=model.name,
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            tools=model.tools,
            images=model.images,
            schemas=model.schemas,
            price=price,
        )

    def _file(self, name: str, field: str, value: str | None) -> Path | None:
        path = self._place(value)
        if path is not None and not path.is_file():
            raise self.fault(name, field, f"{field} names no file: {path}")
        return path

    def _place(self, value: str | None) -> Path | None:
        return None if value is None else self._path.parent / Path(value).expanduser()
