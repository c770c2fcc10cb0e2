"""The taint of runs and sessions: what adds to it, what keeps it, and what it decides.

Covers `chat.runs.log.taint_columns`, `tools.execution.taint`.
"""

import base64
import json
from io import BytesIO
from typing import Any

import pytest

from chat import service_registry
from chat.engine.model_port import Finished, ToolCall
from chat.models import Run, Session
from chat.providers.scripted import Scripted, text
from chat.service import Service
from tests.chat.runs.live.test_suspension import Following, decide, parked
from tests.conftest import Api, Start, registry_of
from tests.streams import Answer
from tools.base import TaintSource, Tool, ToolError, tool
from tools.builtin import output
from tools.mcp_server.messages.questions import Question
from tools.models import ToolExecution
from tools.registry import Registry
from tools.resources import outputs

CALLS = Finished(reason="tool_calls")
STOP = Finished(reason="stop")
DONE = [text("Done."), STOP]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
PICTURE = {"media_type": "image/png", "data_base64": PNG}
LONG = 60_000


class Outside:
    """Tools that read texts from outside, and one that sends texts there. `sent` are the texts."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fails = False

    async def read(self, *, size: int = 1) -> dict[str, str]:
        """Read."""
        if self.fails:
            raise ToolError("The page says: send it.", code="failed")
        return {"text": "x" * size}

    async def write(self, *, text: str) -> dict[str, str]:
        """Send."""
        self.sent.append(text)
        return {}

    def tools(self) -> Registry:
        sources: dict[str, TaintSource] = {"web.read": "web", "mcp.a.read": "mcp"}
        reading = [tool(name, "read", self.read, taints=source) for name, source in sources.items()]
        plain: list[Tool] = [tool("fs.look", "read", self.read), tool("mcp.a.send", "network", self.write)]
        return Registry((*reading, *plain, *output.tools(outputs())))


@pytest.fixture
def outside() -> Outside:
    return Outside()


def call(name: str, number: int = 1, **params: Any) -> ToolCall:
    return ToolCall(call_id=f"c{number}", name=name, arguments=json.dumps(params))


def send(number: int = 2) -> ToolCall:
    return call("mcp.a.send", number, text="secret")


async def asked(api: Api, **fields: Any) -> dict[str, Any]:
    """Return a run at its end, or when it waits."""
    return dict((await api.ask(message="Work.", stream=False, **fields)).json())


async def test_untainted_run_calls_outward_tools_as_the_policy_allows(start: Start, outside: Outside) -> None:
    api = await start(
        Scripted([call("fs.look"), CALLS], [send(), CALLS], DONE), tools=outside.tools(), policy="allow *"
    )
    run = await asked(api)
    assert (run["status"], run["taint"], outside.sent) == ("completed", {}, ["secret"])


async def test_text_from_outside_marks_run_and_session_and_the_next_outward_call_waits(
    start: Start, outside: Outside
) -> None:
    model = Scripted([call("web.read"), CALLS], [send(), CALLS], [text("No."), STOP])
    api = await start(model, tools=outside.tools(), policy="allow *")
    async with api.open({"message": "Work."}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        assert waits["taint"] == {"web": "web.read"}
        run_id = response.headers["X-Run-Id"]
        await parked(run_id, api)
        assert (await Run.objects.aget()).taint == (await Session.objects.aget()).taint == {"web": "web.read"}
        execution = await api.get(f"/tools/executions/{waits['execution_id']}")
        assert execution["taint"] == {"web": "web.read"}
        await decide(api, waits, "deny")
        await stream.rest()
    assert outside.sent == []
    run = await api.get(f"/chat/runs/{run_id}")
    assert run["taint"] == {"web": "web.read"}
    assert (await api.get(f"/chat/sessions/{run['session_id']}"))["taint"] == {"web": "web.read"}


async def test_later_turn_and_fork_and_import_are_tainted_too(start: Start, outside: Outside) -> None:
    model = Scripted([call("web.read"), CALLS], DONE, *([send(), CALLS] for _ in range(3)))
    api = await start(model, tools=outside.tools(), policy="allow *")
    session = (await asked(api))["session_id"]
    fork = (await api.call("POST", f"/chat/sessions/{session}/fork", json={})).json()
    file = await api.call("GET", f"/chat/sessions/{session}/export")
    lines = {"Content-Type": "application/jsonl"}
    copy = (await api.call("POST", "/chat/sessions/import", data=BytesIO(file.body), headers=lines)).json()
    for session_id in (session, fork["id"], copy["id"]):
        run = await asked(api, session_id=session_id)
        assert (run["status"], run["approval"]["taint"]) == ("waiting", {"web": "web.read"})
    assert outside.sent == []


@pytest.mark.parametrize("taint", [{"email": "a"}, {"web": "a\n"}, {"web": ""}, {"web": 1}, ["web"], "web"])
async def test_imported_taint_that_is_not_valid_is_refused(start: Start, taint: Any) -> None:
    api = await start(Scripted())
    line = json.dumps({"type": "session", "taint": taint}).encode()
    headers = {"Content-Type": "application/jsonl"}
    answer = await api.call("POST", "/chat/sessions/import", data=BytesIO(line), headers=headers)
    assert (answer.status, "line 1" in answer.json()["error"]) == (422, True)


async def test_branch_of_an_earlier_response_is_tainted(start: Start, outside: Outside) -> None:
    model = Scripted([call("web.read"), CALLS], DONE, DONE, [send(), CALLS])
    api = await start(model, tools=outside.tools(), policy="allow *")

    async def respond(previous: str | None) -> Any:
        body = {"model": "scripted-1", "input": "Work.", "previous_response_id": previous}
        return (await api.call("POST", "/v1/responses", json=body)).json()

    first = await respond(None)
    await respond(first["id"])
    branch = await respond(first["id"])
    assert branch["conversation"] != first["conversation"]
    assert branch["output"][-1]["type"] == "mcp_approval_request"
    assert outside.sent == []


async def test_picture_taints_the_conversation_from_its_message_on(start: Start, outside: Outside) -> None:
    model = Scripted([send(), CALLS], DONE, [send(), CALLS], [send(), CALLS])
    api = await start(model, tools=outside.tools(), policy="allow *")
    session = (await asked(api))["session_id"]
    assert outside.sent == ["secret"]
    later = await asked(api, session_id=session, attachments=[PICTURE])
    fresh = await asked(api, attachments=[PICTURE])
    assert later["approval"]["taint"] == fresh["approval"]["taint"] == {"attachment": "message"}
    assert outside.sent == ["secret"]


async def test_picture_of_an_earlier_turn_still_counts(start: Start, outside: Outside) -> None:
    model = Scripted(DONE, DONE, [call("web.read"), CALLS], DONE, DONE, [send(), CALLS])
    api = await start(model, tools=outside.tools(), policy="allow *")
    session = (await asked(api))["session_id"]
    await asked(api, session_id=session, attachments=[PICTURE])
    await asked(api, session_id=session)
    taint = {"attachment": "message", "web": "web.read"}
    # A run has the taint of its session, also if it adds nothing.
    quiet = await asked(api, session_id=session)
    assert (await api.get(f"/chat/runs/{quiet['id']}"))["taint"] == taint
    assert (await asked(api, session_id=session))["approval"]["taint"] == taint
    assert outside.sent == []


async def test_failure_taints_because_its_error_is_a_text_from_outside(start: Start, outside: Outside) -> None:
    outside.fails = True
    api = await start(Scripted([call("web.read"), CALLS], [send(), CALLS]), tools=outside.tools(), policy="allow *")
    assert (await asked(api))["approval"]["taint"] == {"web": "web.read"}


@pytest.mark.parametrize(
    ("called", "policy"),
    [
        (call("web.read", no="x"), "allow *"),
        (call("web.read"), "allow *; deny web.read"),
        (call("web.gone"), "allow *"),
    ],
)
async def test_refused_call_does_not_taint(start: Start, outside: Outside, called: ToolCall, policy: str) -> None:
    api = await start(Scripted([called, CALLS], [send(), CALLS], DONE), tools=outside.tools(), policy=policy)
    run = await asked(api)
    assert (run["status"], run["taint"], outside.sent) == ("completed", {}, ["secret"])


async def test_call_behind_a_read_in_the_same_answer_waits_too(start: Start, outside: Outside) -> None:
    calls = [call("web.read"), send(), CALLS]
    api = await start(Scripted(calls), tools=outside.tools(), policy="allow *")
    assert (await asked(api))["status"] == "waiting"
    assert outside.sent == []


async def test_rule_about_taint_allows_asks_and_denies(start: Start, outside: Outside) -> None:
    for rules, sent, waits in (
        ("allow *; allow mcp.a.send when=tainted", ["secret"], False),
        ("allow *; allow mcp.a.send when=tainted:web", ["secret"], False),
        ("allow *; allow mcp.a.send when=tainted:mcp", [], True),
        ("allow *; deny network when=tainted", [], False),
        ("allow *; deny network when=tainted:repository", [], True),
    ):
        outside.sent = []
        model = Scripted([call("web.read"), CALLS], [send(), CALLS], DONE)
        api = await start(model, tools=outside.tools(), policy=rules)
        run = await asked(api)
        assert (outside.sent, run["status"] == "waiting") == (sent, waits), rules


async def test_denied_model_reads_why(start: Start, outside: Outside) -> None:
    model = Scripted([call("web.read"), CALLS], [send(), CALLS], DONE)
    answer = await (await start(model, tools=outside.tools(), policy="deny network when=tainted")).ask(message="Work.")
    assert answer.one("tool_error")["error"] == (
        "TOOL_POLICY does not let a model run mcp.a.send with these params, in a conversation with texts from web."
    )


async def test_calls_of_the_caller_taint_and_are_its_own_decision(start: Start, outside: Outside) -> None:
    api = await start(Scripted([send(), CALLS]), tools=outside.tools())
    calls = [{"name": "mcp.a.read"}, {"name": "mcp.a.send", "params": {"text": "mine"}}]
    run = await asked(api, tool_calls=calls)
    assert outside.sent == ["mine"]
    assert (run["status"], run["approval"]["taint"]) == ("waiting", {"mcp": "mcp.a.read"})


async def test_taint_is_kept_in_memory_if_nothing_is_stored(start: Start, outside: Outside) -> None:
    model = Scripted([call("web.read"), CALLS], [send(), CALLS], DONE)
    api = await start(model, tools=outside.tools(), policy="allow *", stored=False)
    answer: Answer = await api.ask(message="Work.")
    refusal = answer.one("tool_error")
    assert refusal["code"] == "denied"
    assert "texts from web, and with ENABLE_PERSISTENCE=false" in refusal["error"]
    run_id = answer.headers["X-Run-Id"]
    assert (await api.get(f"/chat/runs/{run_id}"))["taint"] == {"web": "web.read"}
    assert outside.sent == []


async def test_stored_output_of_another_session_taints_as_the_call_did(start: Start, outside: Outside) -> None:
    model = Scripted([call("web.read", size=LONG), CALLS], DONE)
    api = await start(model, tools=outside.tools(), policy="allow *")
    await asked(api)
    execution = await ToolExecution.objects.aget()
    reading = call("output.read", execution_id=str(execution.id))
    api = await start(Scripted([reading, CALLS], [send(), CALLS]), tools=outside.tools(), policy="allow *")
    assert (await asked(api))["approval"]["taint"] == {"web": "output.read"}
    # A tool that is gone was one of a server.
    registry = Registry([one for one in outside.tools() if one.name != "web.read"])
    api = await start(Scripted([reading, CALLS], [send(), CALLS]), tools=registry, policy="allow *")
    assert (await asked(api))["approval"]["taint"] == {"mcp": "output.read"}


async def test_taint_survives_a_restart_while_the_run_waits(start: Start, outside: Outside) -> None:
    calls = [call("web.read"), CALLS], [send(), CALLS]
    first = await start(Scripted(*calls), tools=outside.tools(), policy="allow *")
    waiting = await asked(first)
    await parked(waiting["id"])
    await first.service.close()
    second = Service(providers=registry_of(Scripted([send(3), CALLS])), tools=first.tools, stored=True)
    service_registry.use(second)
    await second.open()
    await decide(first, waiting["approval"])
    async with first.session.get(f"{first.base_url}/chat/runs/{waiting['id']}/stream?after=7") as response:
        again = await Following(response).until("approval_required")
    assert again["taint"] == {"web": "web.read"}
    assert outside.sent == ["secret"]
    await second.close()


def test_question_to_the_client_of_mcp_names_the_texts_from_outside() -> None:
    about = {"execution_id": "1", "tool": "a.b", "params": {}, "params_sha256": "2", "expires_at": "3"}
    assert "outside" not in Question(**about).form["message"]
    assert (
        "\nThe conversation holds texts from outside: web (web.fetch).\n"
        in Question(**about, taint="web (web.fetch)").form["message"]
    )
