"""The operations of an OpenAPI document (3.0 and 3.1), each with a JSON Schema for its params."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from tools.http_tools.schemas import InvalidDocument, References
from web.toml_file import HEADER, OWN_HEADERS

Location = Literal["path", "query", "header"]

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
FORM: Final = "application/x-www-form-urlencoded"
TEXT: Final = "text/plain"
JSON: Final = re.compile(r"application/(?:[a-z0-9.-]+\+)?json")
BODY: Final = "body"
"""The name of the param that is the body of a request."""

IGNORED_HEADERS: Final = OWN_HEADERS | {"authorization", "cookie"}
"""Header params that are ignored: as OpenAPI says, and because they would change whom or what a request is for."""

MAX_OPERATIONS: Final = 2_000
MAX_DESCRIPTION: Final = 4_096
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
# Behind the address of the server, a path without its slash would lead to another host: `@host`, `.host`.
PATH: Final = re.compile(r"(/(?!\.{1,2}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}|\{[^{}]*\})*)+")
"""A path of a document (RFC 3986, path-absolute) without segments that mean a folder."""

ODD: Final = re.compile(r"[^A-Za-z0-9_-]+")
NAME_CHARS: Final = 80


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """A param of an operation: `name` in the tool, and `wire` in the request. `style` and `explode` are OpenAPI's."""

    name: str
    wire: str
    location: Location
    style: str
    explode: bool


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation. `body` is the media type of its body, or empty; `schema` is that of all params together."""

    name: str
    method: str
    path: str
    description: str
    params: tuple[Param, ...]
    body: str
    schema: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The method and the path, such as `GET /issues`."""
        return f"{self.method} {self.path}"


def servers(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the URLs of the document's servers, with the default values of their variables."""
    found: list[str] = []
    for server in document.get("servers") or ():
        if not isinstance(server, dict) or not isinstance(server.get("url"), str):
            continue
        url = server["url"]
        for name, variable in (server.get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")) if isinstance(variable, dict) else "")
        found.append(url)
    return tuple(found)


def keys(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key and the name of each operation. Raises `InvalidDocument`."""
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        raise InvalidDocument("it is not an OpenAPI document of version 3")
    paths = document.get("paths")
    count = 0
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in METHODS:
            if isinstance(path, str) and isinstance(item, dict) and isinstance(item.get(method), dict):
                count += 1
                if count > MAX_OPERATIONS:
                    raise InvalidDocument(f"it has more than {MAX_OPERATIONS} operations")
                yield f"{method.upper()} {path}", _name(item[method], method, path)


def operation(document: Mapping[str, Any], key: str) -> Operation:
    """Return the operation of a key. Raises `InvalidDocument`, which says why no tool can be made of it."""
    method, _, path = key.partition(" ")
    if PATH.fullmatch(path) is None:
        raise InvalidDocument("its path must begin with / and have only characters that a URL can have there")
    item = document["paths"][path]
    references, found = References(document), item[method.lower()]
    params: list[Param] = []
    properties: dict[str, Any] = {}
    required: list[str] = []
    for raw in _declared(references, item, found):
        param = _param(raw, properties)
        params.append(param)
        properties[param.name] = _described(raw["schema"], raw.get("description"))
        if raw.get("required") is True or param.location == "path":
            required.append(param.name)
    templated = set(PLACEHOLDER.findall(path))
    if templated != {param.wire for param in params if param.location == "path"}:
        raise InvalidDocument("the params in its path are not those that it declares")
    body = references.resolved(found.get("requestBody"))
    media = ""
    if isinstance(body, dict):
        media, properties[BODY] = _body(body)
        if body.get("required") is True:
            required.append(BODY)
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    text = "\n".join(part for part in (found.get("summary"), found.get("description")) if isinstance(part, str))
    return Operation(
        name=_name(found, method.lower(), path),
        method=method,
        path=path,
        description=(text or key)[:MAX_DESCRIPTION],
        params=tuple(params),
        body=media,
        schema=references.standalone(schema),
    )


def _declared(references: References, item: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the params of an operation that a request can have."""
    # A param of an operation replaces one of its path with the same name and location.
    given: dict[tuple[str, Any], Mapping[str, Any]] = {}
    for raw in (*(item.get("parameters") or ()), *(found.get("parameters") or ())):
        resolved = references.resolved(raw)
        if not isinstance(resolved, dict) or not isinstance(resolved.get("name"), str):
            raise InvalidDocument("a param has no name")
        given[resolved["name"], resolved.get("in")] = resolved
    for (wire, location), raw in given.items():
        if location == "cookie" and raw.get("required") is True:
            raise InvalidDocument(f"it needs the cookie {wire[:40]!r}")
        if location != "cookie" and not (location == "header" and wire.lower() in IGNORED_HEADERS):
            yield raw


def _param(raw: Mapping[str, Any], taken: Collection[str]) -> Param:
    wire, location = raw["name"], raw.get("in")
    if location not in get_args(Location):
        raise InvalidDocument(f"the param {wire[:40]!r} is in {str(location)[:40]!r}")
    if location == "header" and HEADER.fullmatch(wire) is None:
        raise InvalidDocument(f"the param {wire[:40]!r} cannot be a header")
    if "schema" not in raw:
        raise InvalidDocument(f"the param {wire[:40]!r} has no schema")
    style = str(raw.get("style") or ("form" if location == "query" else "simple"))
    return Param(
        # Two params may have one name in different locations.
        name=f"{location}_{wire}" if wire in taken or wire == BODY else wire,
        wire=wire,
        location=msgspec.convert(location, Location),
        style=style,
        explode=raw["explode"] if isinstance(raw.get("explode"), bool) else style == "form",
    )


def _name(found: Mapping[str, Any], method: str, path: str) -> str:
    """Return the name of an operation: its ID, or one of its method and path."""
    own = found.get("operationId")
    return ODD.sub("_", own if isinstance(own, str) and own else f"{method} {path}").strip("_")[:NAME_CHARS] or method


def _body(body: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the media type in which a body is sent, and its schema."""
    content = body.get("content")
    kinds = {str(kind).partition(";")[0].strip().lower(): value for kind, value in (content or {}).items()}
    for is_known in (JSON.fullmatch, FORM.__eq__, TEXT.__eq__):
        for kind, value in kinds.items():
            if is_known(kind) and isinstance(value, dict):
                schema = value.get("schema", {} if kind != TEXT else {"type": "string"})
                return kind, _described(schema, body.get("description"))
    raise InvalidDocument(
        f"its body is {', '.join(kinds)[:80] or 'of no type'}; JSON, forms and plain text can be sent"
    )


def _described(schema: Any, description: Any) -> Any:
    if isinstance(schema, dict) and isinstance(description, str) and "description" not in schema:
        return {**schema, "description": description}
    return schema
