"""Requests to run a tool, inspected: the tool, its validated params, and whether it may run."""

import hashlib
import logging
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone

from spending.accounts import Payer
from tools.base import Approval, Facets, InspectedCall, Preview, Tool, ToolError, ToolRequest
from tools.client_tools.declared import ClientTool
from tools.execution.arguments import coerce, decode_object
from tools.execution.rows import Intent, Status
from tools.models import ToolExecution
from tools.output.masking import Masker, mapped, storable
from tools.output.rendering import MAX_KEPT_BYTES, event_params, row_params
from tools.policy import NOTHING, Decision
from web.strict_json import MAX_DEPTH, is_too_deep

logger = logging.getLogger(__name__)

MAX_UNREADABLE_CHARS: Final = 4_096
"""Characters that are stored of arguments that are not JSON."""


AUTHORIZE: Final = "authorize_at"
"""The name in shown params under which the link for a missing authorization stands."""

PREVIEW: Final = "preview"
"""The name in shown params under which the preview of a call's effect stands. No tool has a param of this name."""


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """The params of a request, decoded once.

    `given` is what the caller sent; `stored` is masked, and is what rows and events show. `error` says why `given` is
    not JSON.
    """

    given: Any
    stored: Any
    sha256: str
    error: str = ""


class Call(InspectedCall, frozen=True, kw_only=True):
    """An inspected request. `refusal` says why it does not run; otherwise `tool`, `values` and `facets` are set.

    `preview` is the effect that it would have, if its tool has previews and an approval is needed or given. A call
    `by_client` has no `tool`.
    """

    params: Params
    tool: Tool | None = None
    values: msgspec.Struct | None = None
    facets: Facets = NOTHING
    refusal: ToolError | None = None
    decision: Decision = "allow"
    preview: Preview | None = None
    by_client: bool = False

    @property
    def waits_for(self) -> Status:
        """The status in which the call begins: it waits, or runs at once."""
        if self.refusal is not None or (self.decision != "ask" and not self.by_client):
            return Status.RUNNING
        return Status.AWAITING_CLIENT if self.by_client else Status.AWAITING_APPROVAL

    def with_link(self, link: str) -> "Call":
        """Return the call as one that waits for an authorization of its owner, who opens a link for it."""
        if not isinstance(self.params.stored, dict) or AUTHORIZE in self.params.stored:
            # The link would stand in the place of what the call does.
            refusal = ToolError(f"The call needs an authorization, and cannot have a param {AUTHORIZE}.", code="denied")
            return msgspec.structs.replace(self, refusal=refusal)
        stored = {**self.params.stored, AUTHORIZE: link}
        return msgspec.structs.replace(self, params=msgspec.structs.replace(self.params, stored=stored), decision="ask")

    @property
    def shown_params(self) -> Any:
        return event_params(self.params.stored)

    def refusal_after(self, approval: Approval) -> ToolError | None:
        """Return why the call does not run after this decision; None if it may run."""
        if approval.decision == "cancelled":
            return ToolError("The run was cancelled while the tool waited for an approval.", code="cancelled")
        if approval.decision == "expired":
            return ToolError("The approval expired before anyone decided.", code="denied")
        if approval.decision == "denied":
            return ToolError(f"The call was denied. {approval.note}".strip(), code="denied")
        if approval.params_sha256 != self.params.sha256:
            changed = ToolError(
                "The approved action has changed. Call the tool again, for a new approval.", code="conflict"
            )
            other = ToolError("The approval is for other params than these.", code="denied")
            return self.refusal or (changed if self.preview else other)
        # The call was inspected again, so a policy that changed meanwhile overrules the approval.
        return self.refusal

    def intent(self, execution_id: UUID, payer: Payer, masker: Masker) -> Intent:
        """Return the row to write before the call runs."""
        # A model can put a secret, or any length of text, into an id or a name.
        return Intent(
            execution_id=execution_id,
            owner=payer.owner,
            session_id=payer.session_id,
            run_id=payer.run_id,
            call_id=masker.text(self.request.call_id)[: ToolExecution.CALL_ID_LENGTH],
            tool=masker.text(self.request.tool)[: ToolExecution.NAME_LENGTH],
            source=self.request.source,
            params=self.params.stored,
            params_sha256=self.params.sha256,
            confinement=self.tool.confinement if self.tool else "",
            created=timezone.now(),
            status=self.waits_for,
        )


def params_sha256(params: Any) -> str:
    """Return the hash that an approval is bound to: SHA-256 of the params as JSON with sorted names."""
    return hashlib.sha256(msgspec.json.encode(params, order="sorted")).hexdigest()


def parse_params(request: ToolRequest, tool: Tool | None, masker: Masker) -> Params:
    """Decode the params. Text that is not JSON, or is nested too deeply, is stored as text.

    A caller's params are taken literally; a model's are read for what they mean.
    """
    error, arguments = "", request.arguments
    meant = decode_object(arguments) if request.source == "model" else None
    try:
        if meant is None:
            given = msgspec.json.decode(arguments)
        else:
            given = coerce(meant, tool.params) if tool is not None and not tool.schema else meant
        # Functions that call themselves mask, match, show and hash the params.
        if is_too_deep(arguments, given):
            given, error = arguments, f"they are nested too deeply: {MAX_DEPTH} levels are the most"
    except (msgspec.DecodeError, RecursionError) as failure:
        given, error = arguments, str(failure)
    try:
        # A row needs params, and JSON's null would be none.
        stored = "null" if given is None else row_params(masker.data(given))
        # What can be decoded may still be nested too deeply to encode: better found here than when the event is sent.
        msgspec.json.encode(event_params(stored))
        return Params(given=given, stored=stored, sha256=params_sha256(given), error=error)
    except (RecursionError, ValueError, OverflowError):
        stored = masker.text(arguments)[:MAX_UNREADABLE_CHARS]
        return Params(given=given, stored=stored, sha256=params_sha256(arguments), error=error)


def shown_whole(params: Params, masker: Masker) -> Params:
    """Return params as they are shown for a decision: whole. Raises `ToolError` (`denied`) if a part must be hidden."""
    return msgspec.structs.replace(params, stored=row_params(_whole(params, masker)))


def _whole(params: Params, masker: Masker) -> Any:
    if masker.has_token(params.given):
        error = "The params have a secret, so they cannot be shown whole outside of the service. Send them without it."
        raise ToolError(error, code="denied")
    plain = mapped(params.given, storable)
    if len(msgspec.json.encode(plain)) > MAX_KEPT_BYTES:
        error = f"The params must be shown whole, and are too long for that: {MAX_KEPT_BYTES} bytes at most."
        raise ToolError(error, code="denied")
    return plain


def inspect_client_call(request: ToolRequest, tool: ClientTool, masker: Masker) -> Call:
    """Return the call of a client tool, with its params whole, because the client runs it with them."""
    params = parse_params(request, None, masker)
    refusal: ToolError | None = None
    try:
        if params.error or not isinstance(params.given, dict):
            problem = params.error or "they are of another type"
            raise ToolError(f"The arguments are not a JSON object: {problem}.", code="invalid_params")
        # What cannot be stored as it is cannot be shown whole either.
        msgspec.json.encode(event_params(params.given))
        tool.check(params.given)
        params = msgspec.structs.replace(params, stored=_whole(params, masker))
    except ToolError as error:
        refusal = error
    except (RecursionError, ValueError, OverflowError) as error:
        refusal = ToolError(f"The arguments cannot be stored: {error}.", code="invalid_params")
    return Call(request=request, params=params, by_client=True, refusal=refusal)


def validate(tool: Tool, params: Params) -> msgspec.Struct:
    """Return the params as the tool takes them. Raises `ToolError` (`invalid_params`), which names the valid fields."""
    if params.error:
        raise ToolError(f"The arguments are not a JSON object: {params.error}.", code="invalid_params")
    try:
        return tool.converted(params.given)
    except msgspec.ValidationError as error:
        fields = ", ".join(tool.spec.parameters.get("properties", ())) or "nothing"
        raise ToolError(f"{error}. {tool.name} takes: {fields}.", code="invalid_params") from None
    except RecursionError as error:
        raise ToolError(f"The arguments are not a JSON object: {error}.", code="invalid_params") from None


def grant_all(_: str) -> bool:
    """Grant every tool."""
    return True


async def prechecked(call: Call) -> Call:
    """Return the call, refused if it can only fail."""
    if call.tool is None or call.values is None:
        return call
    try:
        await call.tool.precheck(call.values)
    except ToolError as error:
        return msgspec.structs.replace(call, refusal=error)
    return call


async def previewed(call: Call, masker: Masker) -> Call:
    """Return the call with a preview of its effect in its shown params and its hash, if its tool has previews."""
    if call.refusal is not None or call.tool is None or call.values is None:
        return call
    try:
        preview = await call.tool.preview(call.values)
        if preview is None:
            return call
        given = {**call.params.given, PREVIEW: preview.shown}
        params = msgspec.structs.replace(call.params, given=given, sha256=params_sha256(given))
        return msgspec.structs.replace(call, params=shown_whole(params, masker), preview=preview)
    except ToolError as error:
        return msgspec.structs.replace(call, refusal=error)
    except Exception:
        logger.exception("tool.broken", extra={"tool": call.request.tool})
        broken = ToolError(
            "The call cannot be previewed because of an internal error; see the service's log.", code="failed"
        )
        return msgspec.structs.replace(call, refusal=broken)
