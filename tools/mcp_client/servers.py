"""The file of MCP servers, `MCP_SERVERS_FILE`: TOML with one table for each. `mcp_servers.example.toml` is an example.

Every fault is one sentence with the file, the line and what is valid. Values of headers are never part of it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import msgspec

from tools.base import Effect
from web.toml_file import InvalidFile, TomlFile
from web.urls import service_url

TABLE: Final = "servers"
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
NAME_FORM: Final = "1 to 32 lower-case letters, digits, _ and -, and begin with a letter"
HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VARIABLE: Final = "env:"
"""The beginning of a header's value that is the name of an environment variable."""

OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)
"""Headers that the service sets itself, beside those that begin with `mcp-`."""

MAX_SERVERS: Final = 64
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3_600)]


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server of MCP over HTTP.

    `connect_seconds` bounds the connection, the handshake and the list of tools; `silence_seconds` the time without a
    message during a call; `total_seconds` a whole call. `max_result_bytes` bounds each answer. At most `max_parallel`
    calls of this process run at the same time.
    """

    name: str
    url: str
    headers: dict[str, str] = {}
    effect: Effect = "network"
    connect_seconds: Seconds = 10
    silence_seconds: Seconds = 60
    total_seconds: Seconds = 300
    max_result_bytes: Annotated[int, msgspec.Meta(ge=1_024, le=64 * 2**20)] = 4 * 2**20
    max_parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4

    def secrets(self) -> tuple[str, ...]:
        """Return the values that must be masked: those of the headers, also without a scheme such as `Bearer`."""
        return tuple(part for value in self.headers.values() for part in {value, value.rpartition(" ")[2]})


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Text | None = None
    headers: dict[str, Text] = {}
    command: Text | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    network: bool = False
    effect: Effect = "network"
    connect_seconds: Seconds = 10
    silence_seconds: Seconds = 60
    total_seconds: Seconds = 300
    max_result_bytes: Annotated[int, msgspec.Meta(ge=1_024, le=64 * 2**20)] = 4 * 2**20
    max_parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4


STDIO_FIELDS: Final = ("command", "args", "env", "network")


def read(path: Path, variable: Callable[[str], str]) -> tuple[McpServer, ...]:
    """Return the servers of a file, in its order. Raises `InvalidFile`.

    `variable` returns the value of an environment variable.
    """
    file = TomlFile(path)
    for name, value in file.tables.items():
        if name != TABLE or not isinstance(value, dict):
            raise file.fault((), [name], f"there is no table {name[:40]!r}: write [{TABLE}.NAME] for each server")
    tables: dict[str, Any] = file.tables.get(TABLE, {})
    if len(tables) > MAX_SERVERS:
        raise file.fault((), [TABLE], f"there are {len(tables)} servers; {MAX_SERVERS} at most are possible")
    return tuple(_servers(file, tables, variable))


def _servers(file: TomlFile, tables: dict[str, Any], variable: Callable[[str], str]) -> Iterator[McpServer]:
    for name, value in tables.items():
        where = (TABLE, name)
        if not NAME.fullmatch(name):
            raise file.fault(where, (), f"the name {name[:40]!r} must be {NAME_FORM}")
        try:
            table = msgspec.convert(value, _Table)
        except msgspec.ValidationError as error:
            raise _described(file, where, error) from None
        # Refused, because a server over stdio would run outside of the sandbox.
        given = next((field for field in STDIO_FIELDS if isinstance(value, dict) and field in value), None)
        if given is not None:
            what = f"{given} is for a server over stdio, which is not supported yet; give url, the address of a server"
            raise file.fault(where, [given], what)
        if table.url is None:
            raise file.fault(where, (), "url is missing: give the address of the server, such as https://host/mcp")
        try:
            service_url(table.url)
        except ValueError as error:
            raise file.fault(where, ["url"], f"url {error}") from None
        if table.silence_seconds > table.total_seconds:
            what = f"silence_seconds must be at most total_seconds, which is {table.total_seconds:g}"
            raise file.fault(where, ["silence_seconds"], what)
        # The URL as it was written: a slash at its end may matter, and redirects are not followed.
        yield McpServer(
            name=name,
            url=table.url,
            headers={header: _header(file, name, header, text, variable) for header, text in table.headers.items()},
            effect=table.effect,
            connect_seconds=table.connect_seconds,
            silence_seconds=table.silence_seconds,
            total_seconds=table.total_seconds,
            max_result_bytes=table.max_result_bytes,
            max_parallel=table.max_parallel,
        )


def _header(file: TomlFile, server: str, header: str, text: str, variable: Callable[[str], str]) -> str:
    """Return the value of a header, from the variable that it names if it does."""
    place = ((TABLE, server), ["headers", header])
    if not HEADER.fullmatch(header) or header.lower() in OWN_HEADERS or header.lower().startswith("mcp-"):
        raise file.fault(*place, f"the header {header[:40]!r} cannot be set here")
    value = text
    if text.startswith(VARIABLE):
        named = text.removeprefix(VARIABLE).strip()
        value = variable(named)
        if not value:
            raise file.fault(*place, f"the variable {named[:80]!r} of the header {header} is not set")
    if not value.isascii() or not value.isprintable():
        raise file.fault(*place, f"the header {header} has a character that an HTTP header cannot have")
    return value


def _described(file: TomlFile, where: tuple[str, ...], error: msgspec.ValidationError) -> InvalidFile:
    # The message ends with the place: "... - at `$.headers[...]`".
    what, _, place = str(error).partition(" - at ")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        valid = ", ".join(field for field in _Table.__struct_fields__ if field not in STDIO_FIELDS)
        return file.fault(where, [unknown[1]], f"there is no field {unknown[1][:40]!r}; there are {valid}")
    field = (re.findall(r"[a-z_]+", place) or [""])[0]
    valid = f"; it is one of {', '.join(get_args(Effect))}" if field == "effect" else ""
    return file.fault(where, [field], f"{field or 'it'}: {what[:1].lower()}{what[1:]}{valid}")
