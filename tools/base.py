"""What a tool is: a plain typed async function, with its docstring for the model and its signature as its schema.

ToolError            a tool's failure: data for the model and the caller, never a crash
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, get_type_hints

import msgspec

from spending.accounts import Payer

Effect = Literal["read", "write", "execute", "network"]
Source = Literal["caller", "model"]
OutputStream = Literal["stdout", "stderr"]
ToolErrorCode = Literal[
    "unknown_tool",
    "invalid_params",
    "denied",
    "disabled",
    "not_found",
    "outside_workspace",
    "too_large",
    "not_allowed",
    "timed_out",
    "cancelled",
    "conflict",
    "failed",
    "interrupted",
]


class ToolError(Exception):
    """A tool could not do what it was asked. The message says what was wrong and what would be valid."""

    def __init__(self, message: str, *, code: ToolErrorCode) -> None:
        super().__init__(message)
        self.code = code


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a model is told of a tool: `parameters` is a JSON Schema of type object. Equal to itself alone."""

    name: str
    description: str
    parameters: Mapping[str, Any]


Emit = Callable[[OutputStream, str], Awaitable[None]]
"""Hands a piece of live output to whoever follows the execution, and waits where there is too much of it."""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool may know of the execution that it works for."""

    payer: Payer
    emit: Emit

    @property
    def owner(self) -> str:
        return self.payer.owner


Facets = Mapping[str, Sequence[str]]
"""What a policy's rules may look at, by name: each param's values as text, in the one form that means them."""


def plain_facets(params: msgspec.Struct) -> Facets:
    """Every param that is a text, a number or a flag, as it came."""
    values = {name: getattr(params, name) for name in params.__struct_fields__}
    return {name: [str(value)] for name, value in values.items() if isinstance(value, str | int | float)}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A registered tool.

    `run` takes the validated params and the `Execution`, and returns the result's data: a mapping, or a
    `msgspec.Struct`. `confinement` is the level that holds it, `disabled` why it is off, if it is.
    """

    spec: ToolSpec
    effect: Effect
    params: type[msgspec.Struct]
    run: Callable[[msgspec.Struct, Execution], Awaitable[Any]]
    confinement: str = ""
    disabled: str = ""
    facets: Callable[[msgspec.Struct], Facets] = plain_facets

    @property
    def name(self) -> str:
        return self.spec.name


def tool(
    name: str,
    effect: Effect,
    function: Callable[..., Awaitable[Any]],
    *given: Any,
    confinement: str = "",
    disabled: str = "",
    facets: Callable[[Any], Facets] = plain_facets,
) -> Tool:
    """Makes a tool of a function.

    Its keyword-only parameters are the tool's params: a type, `Annotated` with `msgspec.Meta` for a description and
    bounds, and a default where it may be left out. Its positional-only ones are `given` here once (a workspace, a
    service); one more, if there is one, gets the `Execution`.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    wants_execution = len(positional) == len(given) + 1
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default)
        for p in signature.parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]
    params = msgspec.defstruct(name.replace(".", "_"), fields, frozen=True, kw_only=True, forbid_unknown_fields=True)

    def run(values: msgspec.Struct, execution: Execution) -> Awaitable[Any]:
        arguments = {field: getattr(values, field) for field in values.__struct_fields__}
        return function(*given, *((execution,) if wants_execution else ()), **arguments)

    spec = ToolSpec(name=name, description=inspect.getdoc(function) or "", parameters=parameters_schema(params))
    return Tool(
        spec=spec,
        effect=effect,
        params=params,
        run=run,
        confinement=confinement,
        disabled=disabled,
        facets=facets,
    )


def parameters_schema(params: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema (2020-12, without references to itself) of a tool's params, as providers take it."""
    _, definitions = msgspec.json.schema_components([params])
    own = definitions[params.__name__]
    return {
        "type": "object",
        "properties": own["properties"],
        "required": own.get("required", []),
        "additionalProperties": False,
    }


class ToolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One wish to run a tool. `arguments` is JSON text, as it came; `call_id` is the model's, or empty."""

    tool: str
    arguments: str
    source: Source
    call_id: str = ""


ApprovalDecision = Literal["approved", "denied", "expired", "cancelled"]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided of an execution that waited. `note` is the decider's, for the model; `by` names who it was."""

    execution_id: str
    decision: ApprovalDecision
    params_sha256: str
    note: str = ""
    by: str = ""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The execution is recorded, and nothing has happened yet. `params` is as it may be shown."""

    execution_id: str
    params: Any


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The execution needs an approval until `expires_at` (ISO 8601). Nothing more happens before `resume`."""

    execution_id: str
    params: Any
    params_sha256: str
    expires_at: str


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The execution waits no more."""

    execution_id: str
    decision: ApprovalDecision


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of live output."""

    stream: OutputStream
    text: str


class Succeeded(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is the result; `content` is what a model is shown of it."""

    data: Any
    content: str


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The tool failed, or the executor refused to run it."""

    error: str
    code: ToolErrorCode


Progress = Opened | Waiting | Resolved | Output | Succeeded | Failed


class InspectedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request after inspection. One that `only_reads` changes nothing and need not wait: it may run beside others."""

    request: ToolRequest
    only_reads: bool = False


C = TypeVar("C", bound=InspectedCall)


class ToolPort(Protocol[C]):
    """The only way to a tool: inspect, record, run, record."""

    def specs(self) -> tuple[ToolSpec, ...]:
        """Return the tools that a model may be offered."""
        ...

    def inspect(self, request: ToolRequest) -> C:
        """Find out what the request means and whether it may run. Nothing happens and nothing is written."""
        ...

    def execute(self, call: C) -> AsyncGenerator[Progress]:
        """Yield `Opened`, any `Output`, and then one `Succeeded` or `Failed`; closing the generator cancels the tool.

        `Waiting` after `Opened` ends the generator: call `resume` when the approval is decided.
        """
        ...

    def resume(self, call: C, approval: Approval) -> AsyncGenerator[Progress]:
        """Yield `Resolved`, then continue as `execute` does. `call` is the one that waited, inspected again."""
        ...
