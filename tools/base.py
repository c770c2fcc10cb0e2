"""Tools: typed async functions. The docstring is the description for the model, the signature is the schema.

ToolError            a tool's failure: data for the model and the caller, never a crash
ToolsInvalid         the tools of a workspace cannot be made
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, get_type_hints, runtime_checkable
from uuid import UUID

import msgspec

from spending.accounts import Payer
from web.json_schema import problem_of

Effect = Literal["read", "write", "execute", "network"]
Source = Literal["caller", "model"]
TaintSource = Literal["web", "mcp", "attachment", "repository"]
"""The places outside that texts of a conversation can come from, whose authors may try to mislead the model."""

OutputStream = Literal["stdout", "stderr"]
ToolErrorCode = Literal[
    "unknown_tool",
    "invalid_params",
    "denied",
    "disabled",
    "not_found",
    "outside_workspace",
    "too_large",
    "workspace_full",
    "not_allowed",
    "timed_out",
    "cancelled",
    "conflict",
    "failed",
    "interrupted",
]


class ToolError(Exception):
    """A tool failed. The message states the problem, then what would be valid."""

    def __init__(self, message: str, *, code: ToolErrorCode) -> None:
        super().__init__(message)
        self.code = code


class ToolsInvalid(ValueError):
    """The tools of a workspace cannot be made. The message is for the operator."""


# Compared by identity, so that tuples of specs can be cache keys: `parameters` is a mapping, which has no hash.
class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A tool as it is described to a model. `parameters` is a JSON Schema of type object.

    A tool `by_client` is run by the client that declared it, and not here.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    by_client: bool = False


Authorize = Callable[[Payer, UUID, float, bool], Awaitable[str]]
"""Returns a link with which the owner authorizes a tool for an execution, or an empty text if that is not needed.

The link is valid for so many seconds. If the authorization is all that the execution waits for, it is approved by it.
"""

Emit = Callable[[OutputStream, str], Awaitable[None]]
"""Sends a piece of live output to the subscribers of the execution, and waits while too much is pending."""


Permits = Callable[[str], bool]
"""Returns whether the policy lets a call use a file, by its path in the workspace without links."""


Record = Callable[[Any], None]
"""Records the changes of files that are about to be made. Raises `ToolError` if it cannot: then they are not made."""


@runtime_checkable
class Restrictable(Protocol):
    """A given of tools that reaches files, such as a workspace."""

    def restricted(self, permits: Permits | None, record: Record | None = None) -> Any:
        """Return the same thing for one call: each file must pass `permits`, and `record` takes each change."""
        ...


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The effect that a call would have. `shown` is a JSON object for the decision about it, which is bound to it.

    `value` is for the tool itself.
    """

    shown: Mapping[str, Any]
    value: Any


class Memory(Protocol):
    """Facts that an execution stores while it runs, so that a later call finds them after a crash."""

    async def remember(self, key: str, fact: str) -> None:
        """Store a fact in the row of the execution. It is committed when this returns."""
        ...

    async def recall(self, key: str) -> str | None:
        """Return the fact that the newest interrupted execution of the owner and the tool stored for a key."""
        ...


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an execution that its tool may use. `permits` is None if the policy has no rule about its files.

    `record` is None if the execution belongs to no run. `preview` is the value of the approved preview, if the call
    was approved and its tool has previews. `memory` is None if nothing is stored. `offered` are the tools among which
    the caller may search.
    """

    payer: Payer
    emit: Emit
    permits: Permits | None = None
    record: Record | None = None
    preview: Any = None
    memory: Memory | None = None
    offered: tuple[ToolSpec, ...] = ()

    @property
    def owner(self) -> str:
        return self.payer.owner


Facets = Mapping[str, Sequence[str]]
"""The values that a policy's rules may test, by name: each param's values as text, in their canonical form."""


def facet(value: str | float) -> str:
    """Return a value as rules name it: flags as in JSON, and a whole number in one form, however it was written."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def plain_facets(params: msgspec.Struct) -> Facets:
    """Return each param that is a text, a number or a flag, as the request has it."""
    values = {name: getattr(params, name) for name in params.__struct_fields__}
    return {name: [facet(value)] for name, value in values.items() if isinstance(value, str | int | float)}


def nothing(params: msgspec.Struct) -> tuple[str, ...]:
    """Return no names."""
    return ()


def no_facets(params: msgspec.Struct) -> Facets:
    """Return no values."""
    return {}


async def no_precheck(params: msgspec.Struct) -> None:
    """Find no fault."""


async def no_preview(params: msgspec.Struct) -> Preview | None:
    """Return no preview."""
    return None


def never_asks(params: msgspec.Struct) -> bool:
    """Leave the decision to the policy."""
    return False


Foreign = Callable[[Sequence[str]], bool]
"""Returns whether any of these paths of a workspace leads to files of a repository from elsewhere."""


def nothing_foreign(paths: Sequence[str]) -> bool:
    """Return False: the tool reads no files."""
    return False


class JsonParams(msgspec.Struct, frozen=True):
    """The params of a tool with a JSON Schema from outside: the object as it was given."""

    given: dict[str, Any]


def json_facets(params: Any) -> Facets:
    """Return each param of `JsonParams` that is a text, a number or a flag, or a list of only those."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in params.given.items()}
    return {
        name: [facet(value) for value in values]
        for name, values in lists.items()
        if all(isinstance(value, str | int | float) for value in values)
    }


def json_implied(params: Any) -> Facets:
    """Return all texts, numbers, flags and names within each param of `JsonParams`, at any depth."""
    return {name: list(_scalars(value)) for name, value in params.given.items()}


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, str | int | float):
        yield facet(value)
    elif isinstance(value, dict | list):
        # The names within an object can carry a text as its values can.
        yield from value if isinstance(value, dict) else ()
        for item in value.values() if isinstance(value, dict) else value:
            yield from _scalars(item)


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A registered tool.

    `run` takes the validated params and the `Execution`, and returns the result's data: a mapping, or a
    `msgspec.Struct`. `confinement` is the level that confines it. `disabled` is the reason why it is off, or empty.
    `implied` are values of params that follow from those in `facets`: only rules that deny or ask test them. `files`
    are the file tools whose rules about paths also apply to the files of this one. `needs` returns the tools that the
    caller must also be granted. `precheck` raises `ToolError` if a call can only fail, so that no approval is
    asked for; it has no effect. `preview` does the same, and returns the effect that an approval is bound to; an
    approved call whose preview has changed fails. `always_asks` returns whether a call needs an approval even if the
    policy allows it. With a `schema`, which is JSON text, the params are `JsonParams` that match it. `taints` is the
    source of the texts that every call brings into a conversation from outside, and `foreign` whether files do. With
    `authorize`, a call waits until its owner has given an authorization.
    """

    spec: ToolSpec
    effect: Effect
    params: type[msgspec.Struct]
    run: Callable[[msgspec.Struct, Execution], Awaitable[Any]]
    confinement: str = ""
    disabled: str = ""
    facets: Callable[[msgspec.Struct], Facets] = plain_facets
    implied: Callable[[msgspec.Struct], Facets] = no_facets
    files: tuple[str, ...] = ()
    needs: Callable[[msgspec.Struct], tuple[str, ...]] = nothing
    precheck: Callable[[msgspec.Struct], Awaitable[Any]] = no_precheck
    preview: Callable[[msgspec.Struct], Awaitable[Preview | None]] = no_preview
    always_asks: Callable[[msgspec.Struct], bool] = never_asks
    schema: str = ""
    taints: TaintSource | None = None
    authorize: Authorize | None = None
    foreign: Foreign = nothing_foreign

    @property
    def name(self) -> str:
        return self.spec.name

    def taint_of(self, facets: Facets) -> TaintSource | None:
        """Return the source of the texts from outside that a call with these facets brings, if it brings any."""
        if self.taints is None and self.foreign(facets.get("path", ())):
            return "repository"
        return self.taints

    def converted(self, given: Any) -> msgspec.Struct:
        """Return params as the tool takes them. Raises `msgspec.ValidationError`."""
        # Tools from outside have no class of params, and their schemas can say more than one could.
        if not self.schema:
            values: msgspec.Struct = msgspec.convert(given, type=self.params)
            return values
        if not isinstance(given, dict):
            raise msgspec.ValidationError("Expected an object")
        if problem := problem_of(self.schema, given):
            raise msgspec.ValidationError(f"The arguments do not match the tool's schema, {problem}")
        return JsonParams(given)


def tool(
    name: str,
    effect: Effect,
    function: Callable[..., Awaitable[Any]],
    *given: Any,
    confinement: str = "",
    disabled: str = "",
    facets: Callable[[Any], Facets] = plain_facets,
    implied: Callable[[Any], Facets] = no_facets,
    files: tuple[str, ...] = (),
    needs: Callable[[Any], tuple[str, ...]] = nothing,
    precheck: Callable[..., Awaitable[Any]] | None = None,
    preview: Callable[..., Awaitable[Preview]] | None = None,
    always_asks: Callable[[Any], bool] = never_asks,
    taints: TaintSource | None = None,
    foreign: Foreign = nothing_foreign,
) -> Tool:
    """Make a tool of a function.

    The function's keyword-only parameters are the tool's params. Each has a type, and a default if it is optional.
    `Annotated` with `msgspec.Meta` adds a description and bounds. The positional-only parameters take `given`, such as
    a workspace, restricted to the files that the call may use. If there is one more, it gets the `Execution`.
    `precheck` and `preview` take the `given` and the params.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    takes_execution = len(positional) == len(given) + 1
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default)
        for p in signature.parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]
    # A misspelt param is an error that the model can correct, not a default that it did not ask for.
    params = msgspec.defstruct(name.replace(".", "_"), fields, frozen=True, kw_only=True, forbid_unknown_fields=True)

    def run_precheck(values: msgspec.Struct) -> Awaitable[Any]:
        return precheck(*given, **_arguments(values)) if precheck else no_precheck(values)

    async def run_preview(values: msgspec.Struct) -> Preview | None:
        return await preview(*given, **_arguments(values)) if preview else None

    def run(values: msgspec.Struct, execution: Execution) -> Awaitable[Any]:
        arguments = _arguments(values)
        own = [restricted(value, execution) for value in given]
        return function(*own, *((execution,) if takes_execution else ()), **arguments)

    spec = ToolSpec(name=name, description=inspect.getdoc(function) or "", parameters=parameters_schema(params))
    return Tool(
        spec=spec,
        effect=effect,
        params=params,
        run=run,
        confinement=confinement,
        disabled=disabled,
        facets=facets,
        implied=implied,
        files=files,
        needs=needs,
        precheck=run_precheck,
        preview=run_preview,
        always_asks=always_asks,
        taints=taints,
        foreign=foreign,
    )


def _arguments(values: msgspec.Struct) -> dict[str, Any]:
    return {field: getattr(values, field) for field in values.__struct_fields__}


def restricted(value: Any, execution: Execution) -> Any:
    """Return a given of a tool for one call."""
    if isinstance(value, Restrictable) and (execution.permits or execution.record):
        return value.restricted(execution.permits, execution.record)
    return value


def parameters_schema(params: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a tool's params, as providers take it."""
    _, definitions = msgspec.json.schema_components([params])
    # msgspec returns a `$ref` to this definition; providers take an object.
    own = definitions[params.__name__]
    return {
        "type": "object",
        "properties": own["properties"],
        "required": own.get("required", []),
        "additionalProperties": False,
    }


class ToolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to run a tool. `arguments` is JSON text, not yet decoded; `call_id` is the model's, or empty."""

    tool: str
    arguments: str
    source: Source
    call_id: str = ""


ApprovalDecision = Literal["approved", "denied", "expired", "cancelled"]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about an execution that waited. `note` is for the model; `by` names who decided."""

    execution_id: str
    decision: ApprovalDecision
    params_sha256: str
    note: str = ""
    by: str = ""


WaitsFor = Literal["approval", "client"]
"""A decision about the execution, or its result from the client."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The execution is recorded, and nothing has happened yet. `tool` and `params` are masked.

    With `waits_for`, an answer is needed before it starts.
    """

    execution_id: str
    tool: str
    params: Any
    waits_for: WaitsFor | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The execution needs an approval until `expires_at` (ISO 8601). Nothing more happens before `resume`.

    `taint` has the sources of the texts from outside in the conversation, each with the tool that brought the first.
    """

    execution_id: str
    params: Any
    params_sha256: str
    expires_at: str
    taint: Mapping[TaintSource, str] = {}


class ClientWaiting(msgspec.Struct, frozen=True, kw_only=True):
    """The execution waits for a result from the client until `expires_at` (ISO 8601). `params` are whole."""

    execution_id: str
    params: Any
    call_id: str
    expires_at: str


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The execution no longer waits."""

    execution_id: str
    decision: ApprovalDecision


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of live output."""

    stream: OutputStream
    text: str


class Succeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The tool succeeded. `data` is the result; `content` is the text of it for a model, shortened if it is long.

    `found` are the names of tools that the model is offered from now on.
    """

    data: Any
    content: str
    found: tuple[str, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The tool failed, or the executor refused to run it."""

    error: str
    code: ToolErrorCode


class ClientResults(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of client tools that were waited for, in the order of their calls. The run may be `cancelled`."""

    outcomes: tuple[Succeeded | Failed, ...]
    cancelled: bool = False


Progress = Opened | Waiting | ClientWaiting | Resolved | Output | Succeeded | Failed


class InspectedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request after inspection. If it `only_reads`, it needs no approval and may run in parallel with others."""

    request: ToolRequest
    only_reads: bool = False


C = TypeVar("C", bound=InspectedCall)


class ToolPort(Protocol[C]):
    """The only way to a tool: inspect, record, run, record."""

    def specs(self) -> tuple[ToolSpec, ...]:
        """Return the tools that a model may be offered."""
        ...

    def inspect(self, request: ToolRequest) -> C:
        """Return the request with its tool and its params validated, and whether it may run. This has no effect."""
        ...

    def execute(self, call: C) -> AsyncGenerator[Progress]:
        """Yield `Opened`, any `Output`, and then one `Succeeded` or `Failed`; closing the generator cancels the tool.

        `Waiting` after `Opened` ends the generator: call `resume` when the approval is decided. So does
        `ClientWaiting`: the client gives the result, and nothing here runs.
        """
        ...

    def resume(self, call: C, approval: Approval) -> AsyncGenerator[Progress]:
        """Yield `Resolved`, then continue as `execute` does. `call` is the one that waited, inspected again."""
        ...
