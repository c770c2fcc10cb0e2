"""The file of MCP servers, `MCP_SERVERS_FILE`: TOML with one table for each. `mcp_servers.example.toml` is an example.

Every fault is one sentence with the file, the line and the valid values. Values of headers are never part of it.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import msgspec

from tools.base import Effect
from tools.mcp_client.programs import found_program
from tools.sandbox.refusals import CommandRefusedError
from web.toml_file import HEADER, OWN_HEADERS, VARIABLE, InvalidFile, TomlFile, secret_parts
from web.urls import service_url

TABLE: Final = "servers"
ENTRY_VARIABLES: Final = "MCP_SECRET_"
"""The beginning of the variables that an entry of the console may name."""

MAX_SERVERS: Final = 64
MAX_WORDS: Final = 64
"""Words of a command, variables of an environment, and folders of a server."""

VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
FORMS: Final = {
    "effect": f"one of {', '.join(get_args(Effect))}",
    "command": 'a list of a program and its arguments, such as ["node", "/opt/server/index.js"]',
    "environment": 'a table of variables, such as { TOKEN = "env:TOKEN" }',
    "headers": 'a table of headers, such as { Authorization = "env:AUTHORIZATION" }',
    "network": "true or false",
    "oauth": "true or false",
    "read": "a list of absolute paths of folders",
    "write": "a list of absolute paths of folders",
}
"""The forms of fields, for the faults about them."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3_600)]
Texts = Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_WORDS)]
Variables = Annotated[dict[str, Annotated[str, msgspec.Meta(max_length=4_096)]], msgspec.Meta(max_length=MAX_WORDS)]


class _Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of every server.

    `connect_seconds` bounds the connection, the handshake and the list of tools; `silence_seconds` the time without a
    message during a call; `total_seconds` a whole call. A session that is not used ends after `idle_seconds`.
    `max_result_bytes` bounds each answer. At most `max_parallel` calls of this process run at the same time.
    """

    effect: Effect = "network"
    connect_seconds: Seconds = 10
    silence_seconds: Seconds = 60
    total_seconds: Seconds = 300
    idle_seconds: Seconds = 300
    max_result_bytes: Annotated[int, msgspec.Meta(ge=1_024, le=64 * 2**20)] = 4 * 2**20
    max_parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4


class _Shared(_Limits, frozen=True, kw_only=True):
    """The fields of every server, and those of one that is a program in the sandbox.

    It may read and execute the files below the folders of `read`, and change those below the folders of `write`. With
    `network` it may connect to other machines, and to this one. `memory_bytes` and `tasks` are for all its processes.
    """

    network: bool = False
    read: Texts = ()
    write: Texts = ()
    memory_bytes: Annotated[int, msgspec.Meta(ge=16 * 2**20, le=64 * 2**30)] = 2**30
    tasks: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 64


class McpServer(_Shared, frozen=True, kw_only=True):
    """A server of MCP: at a `url`, or a `command` whose first word is a program.

    `secrets` are values that must be masked. With `oauth`, each owner authorizes the service with an account of the
    server. Without a client ID, the service registers itself; an empty scope is what the server asks for.
    """

    name: str
    url: str = ""
    headers: dict[str, str] = {}
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    oauth: bool = False
    oauth_scope: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: str = ""

    @property
    def place(self) -> str:
        """The place of the server for people: a URL may have a secret in its query, and a command in its words."""
        return self.command[0] if self.command else self.url.partition("?")[0]


class _Table(_Shared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Text | None = None
    headers: dict[str, Text] = {}
    oauth: bool = False
    oauth_scope: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: str = ""
    command: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=MAX_WORDS)] | None = None
    environment: Variables = {}


SHARED: Final = _Shared.__struct_fields__
OF_URLS: Final = ("headers", "oauth", "oauth_scope", "oauth_client_id", "oauth_client_secret")
OF_PROGRAMS: Final = ("environment", *(field for field in SHARED if field not in _Limits.__struct_fields__))


def read(path: Path, variable: Callable[[str], str]) -> tuple[McpServer, ...]:
    """Return the servers of a file, in its order. Raises `InvalidFile`.

    `variable` returns the value of an environment variable.
    """
    file = TomlFile(path)
    tables = file.entries(TABLE, "server", MAX_SERVERS)
    return tuple(_server(file, name, value, variable) for name, value in tables.items())


def read_entry(name: str, text: str, variable: Callable[[str], str]) -> McpServer:
    """Return the server of an entry of the console: the fields of a table of the file, without its first line.

    It has a URL, because a program must be named by the machine's administrator. Headers and secrets are names of
    variables that begin with `ENTRY_VARIABLES`: others would send any secret of the service away. Raises `InvalidFile`.
    """
    file = TomlFile(Path("The entry"), text.encode("utf-8", "replace"))
    file.tables = {TABLE: {name: file.tables}}
    value = file.entries(TABLE, "server", MAX_SERVERS)[name]
    if given := next((field for field in ("command", *OF_PROGRAMS) if field in value), None):
        raise file.fault((), [given], f"{given}: a server that is a program can only be named in MCP_SERVERS_FILE")
    headers = value.get("headers")
    secrets = [*(headers.values() if isinstance(headers, dict) else ()), value.get("oauth_client_secret", "")]
    for secret in filter(None, secrets):
        if not isinstance(secret, str) or not secret.startswith(f"{VARIABLE}{ENTRY_VARIABLES}"):
            what = f"values of headers and secrets must be names of variables: {VARIABLE}{ENTRY_VARIABLES}NAME"
            raise file.fault((), ["headers"], what)
    return _server(file, name, value, variable)


def _server(file: TomlFile, name: str, value: Any, variable: Callable[[str], str]) -> McpServer:
    where = (TABLE, name)
    try:
        table = msgspec.convert(value, _Table)
    except msgspec.ValidationError as error:
        raise _described(file, where, error) from None
    if table.url is not None and table.command is not None:
        raise file.fault(where, ["command"], "there is a url and a command: give one of them")
    if table.silence_seconds > table.total_seconds:
        what = f"silence_seconds must be at most total_seconds, which is {table.total_seconds:g}"
        raise file.fault(where, ["silence_seconds"], what)
    if table.command is None:
        return _at_url(file, name, value, table, variable)
    if given := next((field for field in OF_URLS if field in value), None):
        what = f"{given}: only a server with a url has this field; give environment to a command"
        raise file.fault(where, [given], what)
    _check_program(file, where, table, table.command)
    environment, secrets = _values(file, where, "environment", table.environment, variable)
    shared = {field: getattr(table, field) for field in SHARED}
    return McpServer(name=name, command=table.command, environment=environment, secrets=secrets, **shared)


def _at_url(
    file: TomlFile, name: str, value: Mapping[str, Any], table: _Table, variable: Callable[[str], str]
) -> McpServer:
    where = (TABLE, name)
    if given := next((field for field in OF_PROGRAMS if field in value), None):
        raise file.fault(where, [given], f"{given} is for a server with a command, and this one has none")
    if table.url is None:
        what = 'url or command is missing: give url = "https://host/mcp", or command = ["program", "argument"]'
        raise file.fault(where, (), what)
    try:
        service_url(table.url)
    except ValueError as error:
        raise file.fault(where, ["url"], f"url {error}") from None
    headers, _ = _values(file, where, "headers", table.headers, variable)
    if table.oauth and any(header.lower() == "authorization" for header in headers):
        raise file.fault(where, ["headers"], "with oauth, the header Authorization is the owner's token")
    if not table.oauth and (given := next((field for field in OF_URLS[2:] if field in value), None)):
        raise file.fault(where, [given], f"{given} has an effect only with oauth = true")
    secret, _ = _values(file, where, "environment", {"oauth_client_secret": table.oauth_client_secret}, variable)
    # The URL as it was written: a slash at its end may matter, and redirects are not followed.
    return McpServer(
        name=name,
        url=table.url,
        headers=headers,
        secrets=(*secret_parts(headers.values()), *filter(None, secret.values())),
        oauth=table.oauth,
        oauth_scope=table.oauth_scope,
        oauth_client_id=table.oauth_client_id,
        oauth_client_secret=secret["oauth_client_secret"],
        **{field: getattr(table, field) for field in SHARED},
    )


def _check_program(file: TomlFile, where: tuple[str, ...], table: _Table, command: tuple[str, ...]) -> None:
    program = command[0]
    if any("\0" in word for word in command):
        raise file.fault(where, ["command"], "command: a word has a NUL, which no argument can have")
    if "/" in program and not program.startswith("/"):
        raise file.fault(where, ["command"], f"the program {program[:80]!r} must be a name, or an absolute path")
    for field in ("read", "write"):
        for folder in getattr(table, field):
            if not Path(folder).is_absolute() or not Path(folder).is_dir():
                what = f"{field}: {folder[:80]!r} is not an absolute path of a folder that exists"
                raise file.fault(where, [field], what)
    try:
        found_program(program, table.read, network=table.network)
    except CommandRefusedError as error:
        what = str(error).rstrip(".")
        if "/" in program:
            what = f"there is no program at {program[:200]}, or it is a link to one that is in no folder of read"
        raise file.fault(where, ["command"], f"command: {what}") from None


def _values(
    file: TomlFile, where: tuple[str, str], field: str, given: Mapping[str, str], variable: Callable[[str], str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the values of headers or of an environment, and those of them that come from variables."""
    values: dict[str, str] = {}
    secrets: list[str] = []
    kind = "header" if field == "headers" else "variable"
    for name, text in given.items():
        place = (where, [field, name])
        if kind == "header" and (
            not HEADER.fullmatch(name) or name.lower() in OWN_HEADERS or name.lower().startswith("mcp-")
        ):
            raise file.fault(*place, f"the header {name[:40]!r} cannot be set here")
        if kind == "variable" and not VARIABLE_NAME.fullmatch(name):
            what = f"the variable {name[:40]!r} must have 1 to 80 letters, digits and _, and not begin with a digit"
            raise file.fault(*place, what)
        values[name] = text
        if text.startswith(VARIABLE):
            named = text.removeprefix(VARIABLE).strip()
            values[name] = variable(named)
            if not values[name]:
                raise file.fault(*place, f"the variable {named[:80]!r} of the {kind} {name} is not set")
            secrets.append(values[name])
        if kind == "header" and not (values[name].isascii() and values[name].isprintable()):
            raise file.fault(*place, f"the header {name} has a character that an HTTP header cannot have")
        if "\0" in values[name]:
            raise file.fault(*place, f"the variable {name} has a NUL, which no variable can have")
    return values, tuple(secrets)


def _described(file: TomlFile, where: tuple[str, ...], error: msgspec.ValidationError) -> InvalidFile:
    # The message ends with the place: "... - at `$.headers[...]`".
    what, _, place = str(error).partition(" - at ")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        valid = ", ".join(_Table.__struct_fields__)
        return file.fault(where, [unknown[1]], f"there is no field {unknown[1][:40]!r}; there are {valid}")
    field = (re.findall(r"[a-z_]+", place) or [""])[0]
    valid = f"; it is {FORMS[field]}" if field in FORMS else ""
    what = what[:1].lower() + what[1:].replace(" | null", "")
    return file.fault(where, [field], f"{field or 'it'}: {what}{valid}")
