"""The system prompt of a run: that of the request or of the service, and the instructions of the workspace by name."""

from collections.abc import Sequence
from uuid import UUID

from chat import conf
from chat.starting.request import RunRequest
from tools.base import ToolSpec
from tools.instructions.prompt import READ_TOOL, instructions_of
from tools.policy import Policy


async def system_prompt(request: RunRequest, session_id: UUID, policy: Policy, offered: Sequence[ToolSpec]) -> str:
    """Return the system prompt of a run whose model is offered these tools."""
    own = conf.system_prompt() if request.instructions is None else request.instructions
    # A model that cannot read files can do nothing with their names.
    if not conf.workspace_instructions() or all(tool.name != READ_TOOL for tool in offered):
        return own
    return "\n\n".join(filter(None, (own, await instructions_of(request.owner, session_id, policy))))
