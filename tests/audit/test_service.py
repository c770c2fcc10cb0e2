"""Changes over the API are in the chain, and the chain is valid.

Covers `tools.execution.entries`, `access.keys.entries`, `chat.history.queries`.
"""

import asyncio

from audit.models import AuditEntry
from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted, text
from tests.audit.history import problem
from tests.chat.runs.live.test_suspension import Following, decide
from tests.conftest import Start

CALLS = Finished(reason="tool_calls")
STOP = Finished(reason="stop")


def kinds() -> list[str]:
    return list(AuditEntry.objects.order_by("number").values_list("kind", flat=True))


async def test_tools_decisions_keys_and_deletions_of_the_api_are_in_the_chain(start: Start) -> None:
    listing = ToolCall(call_id="a", name="fs.list", arguments='{"path": "."}')
    asked = ToolCall(call_id="b", name="fs.read", arguments='{"path": "missing.txt"}')
    answers = [[listing, CALLS], [asked, CALLS], [text("Done."), STOP]]
    api = await start(Scripted(*answers), policy="ask fs.read source=model")
    async with api.open({"message": "go"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        assert (await decide(api, waits, note="fine")).status == 200
        await stream.rest()
        run_id = response.headers["X-Run-Id"]
    session = (await api.get(f"/chat/runs/{run_id}"))["session_id"]
    assert (await api.call("DELETE", f"/chat/sessions/{session}")).status == 204
    assert (await api.call("POST", "/keys", json={"name": "ci", "scopes": ["chat"]})).status == 201
    assert await asyncio.to_thread(kinds) == [
        "execution.started",
        "execution.ended",
        "execution.awaits_approval",
        "execution.decided",
        "execution.resumed",
        "execution.ended",
        "session.deleted",
        "run.deleted",
        "key.created",
    ]
    assert await asyncio.to_thread(problem) == ""
