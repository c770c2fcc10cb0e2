"""Client tools: a plain function whose signature is the schema, or a declaration whose results the caller gives."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, get_type_hints

import msgspec

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAX_ERROR_CHARS: Final = 10_000
POSITIONAL_OR_KEYWORD: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY


class ClientTool(msgspec.Struct, frozen=True, kw_only=True):
    """A declared tool. Its calls are events, and the caller gives their results with `result`."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body that answers a call: the value, or the sentence of a failure."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: str | None = None


class FunctionTool:
    """A function, sync or async, that the client calls by itself. The docstring is its description."""

    def __init__(self, function: Callable[..., Any], *, name: str = "") -> None:
        self.name = name or getattr(function, "__name__", "")
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} cannot be the name of a tool. "
                "Give 1 to 64 letters, digits, _ or -: FunctionTool(function, name=...)."
            )
        self.is_async = inspect.iscoroutinefunction(function)
        self._function = function
        self._params = _params(function, self.name)

    @property
    def declaration(self) -> ClientTool:
        description = inspect.getdoc(self._function) or ""
        return ClientTool(name=self.name, description=description, parameters=_schema(self._params))

    def call(self, params: Any) -> Result:
        """Call the function with the params of an event, and return its result or its failure."""
        try:
            return _succeeded(self._function(**self._arguments(params)))
        except Exception as error:  # noqa: BLE001 - a failure of a tool is data for the model
            return _failed(error)

    async def call_async(self, params: Any) -> Result:
        """Await an async function as `call` calls a sync one."""
        try:
            return _succeeded(await self._function(**self._arguments(params)))
        except Exception as error:  # noqa: BLE001 - a failure of a tool is data for the model
            return _failed(error)

    def _arguments(self, params: Any) -> dict[str, Any]:
        converted = msgspec.convert(params, self._params)
        values = {name: getattr(converted, name) for name in converted.__struct_fields__}
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _succeeded(value: Any) -> Result:
    return Result(data=msgspec.Raw(msgspec.json.encode(value)))


def _failed(error: Exception) -> Result:
    return Result(error=(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARS])


def _params(function: Callable[..., Any], name: str) -> type[msgspec.Struct]:
    """Return the type of a function's params. Raise `ValueError` if they cannot be given by name."""
    hints = get_type_hints(function, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in {POSITIONAL_OR_KEYWORD, KEYWORD_ONLY}:
            raise ValueError(f"{name} cannot be a tool: a model cannot give {parameter}. Use parameters with names.")
        kind = hints.get(parameter.name, Any)
        if parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, kind))
        else:
            # The function's own default is used when the model gives none.
            fields.append((parameter.name, kind | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct("Params", fields, kw_only=True, forbid_unknown_fields=True)


def _schema(params: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of params, with the types that it refers to. Raise `TypeError` if a type has none."""
    _, types = msgspec.json.schema_components([params], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = types.pop("Params")
    return schema | ({"$defs": types} if types else {})
