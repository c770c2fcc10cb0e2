"""What is found out about a request before anything happens: which tool it means, its params, and if it may run."""

import hashlib
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone

from spending.accounts import Payer
from tools.base import Approval, Tool, ToolError, ToolRequest
from tools.execution.context import ToolContext
from tools.execution.offered import OfferedTools
from tools.execution.rows import Intent
from tools.models import ToolExecution
from tools.output.rendering import event_params, row_params
from tools.policy import Decision

MOST_UNREADABLE_CHARS: Final = 4_096


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was looked at: what it means, what is written of it, and why it is refused, if it is."""

    request: ToolRequest
    intent: Intent
    tool: Tool | None = None
    values: msgspec.Struct | None = None
    refusal: ToolError | None = None
    decision: Decision = "allow"

    @property
    def shown_params(self) -> Any:
        return event_params(self.intent.params)

    def refusal_after(self, approval: Approval) -> ToolError | None:
        """Why what waited does not run, if it does not."""
        if approval.decision == "cancelled":
            return ToolError("The run was cancelled while the tool waited for an approval.", code="cancelled")
        if approval.decision == "expired":
            return ToolError("Nobody approved it in time.", code="denied")
        if approval.decision == "denied":
            return ToolError(f"It was not approved. {approval.note}".strip(), code="denied")
        if approval.params_sha256 != self.intent.params_sha256:
            return ToolError("What was approved are other params than these.", code="denied")
        return self.refusal


def grant_all(_: str) -> bool:
    """Grants every tool."""
    return True


class RequestInspector:
    """Looks at the requests of one run: nothing happens by that, and nothing is written.

    What it is told of the run is what `tools.execution.executor.ToolDoor` is told.
    """

    def __init__(
        self,
        toolset: ToolContext,
        payer: Payer,
        *,
        offer: OfferedTools,
        stored: bool,
        granted: Callable[[str], bool],
    ) -> None:
        self._toolset = toolset
        self._payer = payer
        self._stored = stored
        self._granted = granted
        self.offer = offer

    def only_reads(self, request: ToolRequest) -> bool:
        """Whether it changes nothing, and need not wait."""
        try:
            tool = self._tool(request)
            return tool.effect == "read" and self._decide(tool, request, _values(tool, request.arguments)) == "allow"
        except ToolError:
            return False

    def call(self, request: ToolRequest, execution_id: UUID) -> Call:
        """The request, looked at."""
        intent = self._intent(request, execution_id)
        try:
            tool = self._tool(request)
            intent = msgspec.structs.replace(intent, confinement=tool.confinement)
            values = _values(tool, request.arguments)
            decision = self._decide(tool, request, values)
        except ToolError as error:
            return Call(request=request, intent=intent, refusal=error)
        return Call(request=request, intent=intent, tool=tool, values=values, decision=decision)

    def _intent(self, request: ToolRequest, execution_id: UUID) -> Intent:
        params, params_hash = self._params(request.arguments)
        return Intent(
            execution_id=execution_id,
            owner=self._payer.owner,
            session_id=self._payer.session_id,
            run_id=self._payer.run_id,
            call_id=self._toolset.masker.text(request.call_id)[: ToolExecution.CALL_ID_LENGTH],
            tool=self._toolset.masker.text(request.tool)[: ToolExecution.NAME_LENGTH],
            source=request.source,
            params=params,
            params_sha256=params_hash,
            confinement="",
            created=timezone.now(),
        )

    def _params(self, arguments: str) -> tuple[Any, str]:
        """The params as a row keeps them, and their hash. Of what is nested or long beyond all use, the text alone."""
        masker = self._toolset.masker
        try:
            params = _decoded(arguments)
            kept = row_params(masker.data(params))
            msgspec.json.encode(event_params(kept))
            return kept, params_sha256(params)
        except (RecursionError, ValueError, OverflowError):
            return masker.text(arguments)[:MOST_UNREADABLE_CHARS], params_sha256(arguments)

    def _tool(self, request: ToolRequest) -> Tool:
        """The tool that is meant. Raises `ToolError` where there is none, it is not granted, or it is off."""
        registry = self._toolset.registry
        tool = registry.get(request.tool)
        if tool is not None and not self._granted(tool.name):
            raise ToolError(f"The caller's key does not have the scope {tool.name}.", code="denied")
        if tool is None or (request.source == "model" and request.tool not in self.offer.chosen):
            valid = registry.names if request.source == "caller" else self.offer.names
            raise ToolError(
                f"There is no tool {request.tool[:80]!r}; there are {', '.join(valid) or 'none'}.", code="unknown_tool"
            )
        if tool.disabled:
            raise ToolError(f"{tool.name} is off: {tool.disabled}.", code="disabled")
        return tool

    def _decide(self, tool: Tool, request: ToolRequest, values: msgspec.Struct) -> Decision:
        """Raises `ToolError` for what the policy denies."""
        decision = self._toolset.policy.decide(tool.name, tool.effect, request.source, tool.facets(values))
        asker = "model" if request.source == "model" else "caller"
        if decision == "deny":
            raise ToolError(f"TOOL_POLICY does not let a {asker} run {tool.name} with these params.", code="denied")
        if decision == "ask" and not self._stored:
            raise ToolError(
                f"TOOL_POLICY asks for an approval before a {asker} runs {tool.name}, and with "
                "ENABLE_PERSISTENCE=false nothing can wait for one.",
                code="denied",
            )
        return decision


def params_sha256(params: Any) -> str:
    """The hash that an approval is bound to: of the exact params as JSON with sorted names."""
    return hashlib.sha256(msgspec.json.encode(params, order="sorted")).hexdigest()


def _decoded(arguments: str) -> Any:
    """The params; the text itself, where it is not JSON."""
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _values(tool: Tool, arguments: str) -> msgspec.Struct:
    """The validated params. Raises `ToolError` (`invalid_params`) with what would be valid."""
    try:
        return msgspec.json.decode(arguments, type=tool.params)
    except msgspec.ValidationError as error:
        fields = ", ".join(tool.params.__struct_fields__)
        raise ToolError(f"{error}. {tool.name} takes: {fields}.", code="invalid_params") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ToolError(f"The arguments are not a JSON object: {error}.", code="invalid_params") from None
