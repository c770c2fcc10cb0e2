"""The retrieval API and the commands: documents of an owner, and the state of an index.

Covers `chat.api.files.retrieval_schemas`, `tools.management.commands.index`, `tools.management.commands.search`.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from chat.providers.scripted import Scripted
from retrieval.service import Retrieval
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.retrieval.sources import WordReader
from tests.streams import Answer
from tools import conf, resources
from tools.assembly import registry
from tools.builtin import retrieval as tool
from tools.retrieval.indexes import configured_indexes
from tools.workspaces.tools import WorkspaceTools

Put = Any


@pytest.fixture(autouse=True)
def retrieval(monkeypatch: pytest.MonkeyPatch) -> Iterator[Retrieval]:
    """Use a reader in this process, and remove what the test makes."""
    made = Retrieval(configured_indexes(), WordReader())
    monkeypatch.setattr(resources, "retrieval", lambda: made)
    yield made
    shutil.rmtree(resources.workspaces().folder, ignore_errors=True)
    shutil.rmtree(conf.index_folder(), ignore_errors=True)


async def put(api: Api, headers: dict[str, str], **body: Any) -> Answer:
    return await api.call("POST", "/retrieval/documents", json=body, headers=headers)


async def test_invalid_documents_are_refused_and_leave_nothing(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools", "files.write")
    api = await start(Scripted())
    for body, status in (
        ({"name": "a.md"}, 422),
        ({"name": "a.md", "text": "a", "data_base64": "YQ=="}, 422),
        ({"name": "", "text": "a"}, 422),
        ({"name": "a" * 256, "text": "a"}, 422),
        ({"name": "a.md", "data_base64": "no base64"}, 422),
        ({"name": "a.md", "text": "\ud800"}, 400),
        ({"name": "a.md", "text": "a", "path": "b.md"}, 422),
        *(({"name": name, "text": "a"}, 422) for name in ("/a.md", "../a.md", "b/../../a.md", ".env", "b//a.md", "b/")),
        ({"name": "id_rsa", "text": "a"}, 403),
        ({"name": "a\0.md", "text": "a"}, 400),
    ):
        assert (await put(api, alice.headers, **body)).status == status, body
    assert list(resources.workspaces().at(alice.owner).base.iterdir()) == []


async def test_document_needs_two_scopes(start: Start, make_key: MakeKey) -> None:
    searcher, writer = await make_key("s", "retrieval.search"), await make_key("w", "files.write")
    api = await start(Scripted())
    for caller, missing in ((searcher, "files.write"), (writer, "retrieval.search")):
        answer = await put(api, caller.headers, name="a.md", text="a")
        assert (answer.status, answer.json()["code"]) == (403, "scope")
        assert missing in answer.json()["error"]


async def test_documents_are_found_by_their_owner_only(start: Start, make_key: MakeKey, retrieval: Retrieval) -> None:
    alice, bob = (
        await make_key("alice", "chat", "tools", "files.write"),
        await make_key("bob", "chat", "tools", "files.write"),
    )
    tools = WorkspaceTools(resources.workspaces(), lambda workspace: tool.tools(workspace, retrieval))
    api = await start(Scripted(), tools=tools)
    made = await put(api, alice.headers, name="plans/secret.md", text="the plan of alice")
    assert (made.status, made.json()["path"], made.json()["created"]) == (200, "documents/plans/secret.md", True)
    data = base64.b64encode(b"the plan of bob").decode()
    assert (await put(api, bob.headers, name="b.txt", data_base64=data)).status == 200

    async def found(caller: Any) -> list[Any]:
        call = {"name": "retrieval.search", "params": {"query": "the plan of alice"}}
        answer = await api.call("POST", "/chat/stream", json={"tool_calls": [call]}, headers=caller.headers)
        results: list[Any] = answer.one("tool_result")["data"]["results"]
        return results

    assert [(hit["path"], hit["sha256"]) for hit in await found(alice)] == [
        ("documents/plans/secret.md", made.json()["sha256"])
    ]
    assert [hit["text"] for hit in await found(bob)] == ["the plan of bob"]
    states = [
        (await api.get("/retrieval/status", headers=caller.headers)) for caller in (alice, await make_key("new", "*"))
    ]
    assert [(state["files"], state["complete"], state["running"]) for state in states] == [
        (1, True, False),
        (0, False, False),
    ]


async def test_documents_and_index_of_a_session_are_its_owners_only(
    start: Start, make_key: MakeKey, retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources.workspaces(), "scope", "session")
    alice, bob = [await make_key(name, "chat", "tools", "files.write") for name in ("alice", "bob")]
    tools = WorkspaceTools(resources.workspaces(), lambda workspace: tool.tools(workspace, retrieval))
    api = await start(Scripted(), tools=tools)
    body = {"tool_calls": [{"name": "retrieval.search", "params": {"query": "plan"}}]}
    answer = await api.call("POST", "/chat/stream", json=body, headers=alice.headers)
    session = answer.one("start")["session_id"]
    for caller, wanted, status in (
        (bob, session, 404),
        (alice, str(uuid4()), 404),
        (alice, "../other", 422),
        (alice, session, 200),
    ):
        path = f"/retrieval/documents?session_id={wanted}"
        document = {"name": "a.md", "text": "the plan"}
        assert (await api.call("POST", path, json=document, headers=caller.headers)).status == status
        path = f"/retrieval/status?session_id={wanted}"
        assert (await api.call("GET", path, headers=caller.headers)).status == status
    again = {**body, "session_id": session}
    found = await api.call("POST", "/chat/stream", json=again, headers=alice.headers)
    assert [hit["path"] for hit in found.one("tool_result")["data"]["results"]] == ["documents/a.md"]
    states = [await api.get(path, headers=alice.headers) for path in ("/retrieval/status", path)]
    assert [state["files"] for state in states] == [0, 1]
    assert not (resources.workspaces().at(alice.owner).base / "documents").exists()


async def test_retrieval_can_be_turned_off(start: Start, make_key: MakeKey, settings: Any) -> None:
    settings.ENABLE_RETRIEVAL = False
    alice = await make_key("alice", "tools", "files.write")
    api = await start(Scripted())
    assert (await put(api, alice.headers, name="a.md", text="a")).json()["code"] == "disabled"
    answer = await api.call("GET", "/retrieval/status", headers=alice.headers)
    assert (answer.status, answer.json()["code"]) == (403, "disabled")
    assert tool.tools(resources.workspaces().root, resources.retrieval(), disabled="off")[0].disabled == "off"
    assert registry().get("retrieval.search")


def test_commands_index_and_search_the_workspace_of_an_owner(capsys: pytest.CaptureFixture[str]) -> None:
    base = resources.workspaces().at("user:7").base
    (base / "guide.md").write_text("# Backups\nThey are made\x1b[2J at night, with sk-live0123456789abcdefghij.")
    call_command("index", "user:7")
    assert "1 file in 1 piece, 1 with vectors" in capsys.readouterr().out
    call_command("index", "user:7", "--rebuild", "--json")
    assert json.loads(capsys.readouterr().out)["totals"]["files"] == 1
    call_command("search", "backups", "--owner", "user:7")
    shown = capsys.readouterr().out
    assert shown.startswith("guide.md:1-2")
    assert "\x1b" not in shown
    assert "sk-live" not in shown
    call_command("search", "backups", "--owner", "user:7", "--json")
    shown = capsys.readouterr().out
    assert json.loads(shown)["results"][0]["lines"] == [1, 2]
    assert "sk-live" not in shown
    with pytest.raises(CommandError, match="does not exist"):
        call_command("search", "backups", "--owner", "user:7", "--path", "missing")
