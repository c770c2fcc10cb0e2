"""The operator's access to the service of this process: what it reads, and what it decides."""

from collections.abc import Sequence
from uuid import UUID

from access.caller import OPERATOR
from chat import service_registry
from chat.api.provider_listing import provider_items
from chat.client.transport import Item, Refused, Verdict
from chat.history.queries import sessions
from storage.reader import read
from tools import queries
from tools.approvals import decisions
from tools.approvals.api import decide
from tools.assembly import tool_context
from tools.listing import describe_tools
from web.errors import ApiError


class OperatorAccess:
    """The part of a transport that does not stream."""

    async def execution(self, execution_id: str) -> Item:
        found: Item | None = await read(queries.execution, UUID(execution_id), OPERATOR)
        if found is None:
            raise Refused("There is no such execution.")
        return found

    async def decide(self, execution_id: str, verdict: Verdict, params_sha256: str) -> None:
        decision: decisions.Verdict = "approved" if verdict == "approve" else "denied"
        try:
            await decide(OPERATOR, UUID(execution_id), decision, params_sha256=params_sha256, note="")
        except ApiError as error:
            raise Refused(str(error)) from None

    async def tools(self) -> Sequence[Item]:
        return list(describe_tools(tool_context())["items"])

    async def providers(self) -> Sequence[Item]:
        return await provider_items(service_registry.current().providers)

    async def sessions(self, most: int) -> Sequence[Item]:
        return list((await read(sessions, OPERATOR, most, 0))["items"])
