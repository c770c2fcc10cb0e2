"""The file of HTTP services, `TOOLS_FILE`: TOML with one table for each. `tools.example.toml` is an example.

Every fault is one sentence with the file, the line and the valid values. Values of headers are never part of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import yaml

from tools.base import Effect
from tools.http_tools.operations import Operation, keys, operation, servers
from tools.http_tools.schemas import InvalidDocument
from web.json_schema import InvalidSchema, compiled
from web.toml_file import TomlFile, secret_parts
from web.urls import service_url

TABLE: Final = "services"
MAX_SERVICES: Final = 64
MAX_TOOLS: Final = 1_000
MAX_DOCUMENT_BYTES: Final = 16 * 2**20
MAX_SCHEMA_BYTES: Final = 64 * 2**10
SHOWN_OPERATIONS: Final = 8
MAX_LEVELS: Final = 128
BOOL: Final = "tag:yaml.org,2002:bool"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3_600)]
Bytes = Annotated[int, msgspec.Meta(ge=1_024, le=64 * 2**20)]
Parallel = Annotated[int, msgspec.Meta(ge=1, le=64)]


class HttpTool(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that is a tool. `schema` is that of its params, as JSON text."""

    name: str
    operation: Operation
    schema: str


class HttpService(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP API. With `private`, its host may have an address that is not public."""

    name: str
    server: str
    tools: tuple[HttpTool, ...]
    headers: Mapping[str, str] = {}
    effect: Effect = "network"
    private: bool = False
    total_seconds: float = 30
    max_result_bytes: int = 2**20
    max_parallel: int = 4

    def secrets(self) -> tuple[str, ...]:
        """Return the values that must be masked: those of the headers."""
        return secret_parts(self.headers.values())


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    document: Text
    operations: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_TOOLS)]
    server: Text | None = None
    headers: dict[str, Text] = {}
    effect: Effect = "network"
    private: bool = False
    total_seconds: Seconds = 30
    max_result_bytes: Bytes = 2**20
    max_parallel: Parallel = 4


def read(path: Path, variable: Callable[[str], str]) -> tuple[HttpService, ...]:
    """Return the services of a file, in its order. Raises `InvalidFile`.

    `variable` returns the value of an environment variable. Paths of documents are relative to the file.
    """
    file = TomlFile(path)
    tables = file.entries(TABLE, "service", MAX_SERVICES)
    return tuple(_service(file, name, value, variable) for name, value in tables.items())


def _service(file: TomlFile, name: str, value: Any, variable: Callable[[str], str]) -> HttpService:
    where = (TABLE, name)
    try:
        table = msgspec.convert(value, _Table)
    except msgspec.ValidationError as error:
        raise file.misfit(where, error, _Table) from None
    try:
        document = _document(file.path.parent / table.document)
        tools = tuple(_tools(file, name, table.operations, document))
        declared = servers(document)
    except (InvalidDocument, AttributeError, TypeError) as error:
        why = error if isinstance(error, InvalidDocument) else "it is not as OpenAPI describes it"
        raise file.fault(where, ["document"], f"the document {table.document!r} cannot be used: {why}") from None
    try:
        server = service_url(table.server or (declared[0] if declared else ""), query=False)
    except ValueError as error:
        given = "server" if table.server else "server, which is missing here and in the document,"
        raise file.fault(where, ["server"], f"{given} {error}") from None
    return HttpService(
        name=name,
        server=server,
        tools=tools,
        headers=file.header_fields(where, table.headers, variable),
        effect=table.effect,
        private=table.private,
        total_seconds=table.total_seconds,
        max_result_bytes=table.max_result_bytes,
        max_parallel=table.max_parallel,
    )


def _document(path: Path) -> Mapping[str, Any]:
    """Return a document of JSON or YAML. Raises `InvalidDocument`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        # A path with a NUL is a `ValueError`.
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidDocument(f"it cannot be read ({why})") from None
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidDocument(f"it is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        # JSON first: it takes a thousandth of the time, and YAML reads some numbers of JSON as texts.
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        try:
            depth = 0
            for event in yaml.parse(content, Loader=_Loader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                # Aliases could make a small file endless, and depth makes the parser slow.
                if isinstance(event, yaml.AliasEvent) or depth > MAX_LEVELS:
                    raise InvalidDocument(f"it has aliases of YAML, or more than {MAX_LEVELS} levels")
            # JSON has no dates, so they stay texts.
            document = yaml.load(content, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            what = " ".join(str(error).split())[:200]
            raise InvalidDocument(f"it is neither JSON nor YAML ({what})") from None
    if not isinstance(document, dict):
        raise InvalidDocument("it is not an object")
    return document


class _Loader(yaml.CSafeLoader):
    """The safe loader, with the truth values of YAML 1.2, and without dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in {BOOL, "tag:yaml.org,2002:timestamp"}]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
# In YAML 1.1, `on` and `no` are truth values too, which an operation may be called.
_Loader.add_implicit_resolver(BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def _tools(file: TomlFile, name: str, wanted: list[str], document: Mapping[str, Any]) -> Iterator[HttpTool]:
    """Yield a tool for each wanted operation: a name, a key such as `GET /issues`, or a pattern of either."""
    known = dict(keys(document))
    taken: dict[str, str] = {}
    for pattern in wanted:
        chosen = [key for key, own in known.items() if fnmatchcase(own, pattern) or fnmatchcase(key, pattern)]
        place = ((TABLE, name), ["operations", pattern])
        if not chosen:
            shown = ", ".join([own for _, own in zip(range(SHOWN_OPERATIONS), known.values(), strict=False)]) or "none"
            raise file.fault(*place, f"there is no operation {pattern[:80]!r}; the document has {shown} ({len(known)})")
        for key in chosen:
            if taken.get(known[key]) == key:
                continue
            if known[key] in taken:
                raise file.fault(*place, f"two operations have the name {known[key]!r}: {taken[known[key]]} and {key}")
            taken[known[key]] = key
            if len(taken) > MAX_TOOLS:
                raise file.fault(*place, f"these are more than {MAX_TOOLS} tools")
            try:
                yield _tool(name, operation(document, key))
            # Any part of a document may be of another type than OpenAPI says.
            except (InvalidDocument, AttributeError, TypeError) as error:
                # A pattern means the operations that can be tools; one that is named must be one.
                if pattern in {key, known[key]}:
                    why = error if isinstance(error, InvalidDocument) else "it is not as OpenAPI describes it"
                    raise file.fault(*place, f"the operation {key} cannot be a tool: {why}") from None


def _tool(service: str, found: Operation) -> HttpTool:
    schema = msgspec.json.encode(found.schema, order="sorted").decode()
    if len(schema) > MAX_SCHEMA_BYTES:
        raise InvalidDocument(f"the schema of its params has more than {MAX_SCHEMA_BYTES} bytes")
    try:
        # Compiled here, so that no call fails because of its schema.
        compiled(schema)
    except InvalidSchema as error:
        raise InvalidDocument(f"the schema of its params cannot be used: {error}") from None
    return HttpTool(name=f"http.{service}.{found.name}", operation=found, schema=schema)
