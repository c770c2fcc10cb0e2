"""The changes of a run over the API.

Covers `tools.changes.report` and `tools.workspaces.access`.
"""

import shutil
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from chat.providers.scripted import Scripted
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.streams import Answer
from tools import conf
from tools.policy import parse
from tools.resources import workspaces

WRITE = {"name": "fs.write", "params": {"path": "a.txt", "content": "one\ntwo\n"}}
RUN = {"name": "terminal.exec", "params": {"command": "ls"}}


@pytest.fixture(autouse=True)
def own_folder() -> Iterator[None]:
    yield
    shutil.rmtree(workspaces().folder, ignore_errors=True)


async def changed(api: Api, headers: dict[str, str], *calls: dict[str, Any]) -> str:
    """Run the calls, and return the path of the run."""
    answer = await api.call("POST", "/chat/stream", json={"tool_calls": list(calls)}, headers=headers)
    assert answer.one("end")["reason"] == "completed"
    return f"/chat/runs/{answer.one('start')['run_id']}"


async def undo(api: Api, path: str, headers: dict[str, str], **body: Any) -> Answer:
    return await api.call("POST", f"{path}/undo", json=body, headers=headers)


async def test_run_of_another_owner_does_not_exist_and_scopes_hold(start: Start, make_key: MakeKey) -> None:
    alice, bob = (
        await make_key("alice", "chat", "tools", "files.read", "files.write"),
        await make_key("bob", "chat", "tools", "files.read", "files.write"),
    )
    chats = await make_key("chats", "chat", "fs.*")
    api = await start(Scripted())
    path = await changed(api, alice.headers, WRITE)
    for other in (path, f"/chat/runs/{uuid4()}"):
        assert (await api.call("GET", f"{other}/changes", headers=bob.headers)).status == 404
        assert (await undo(api, other, bob.headers)).status == 404
    for method, name in (("GET", "changes"), ("POST", "undo")):
        refused = await api.call(method, f"{path}/{name}", headers=chats.headers)
        assert (refused.status, refused.json()["code"]) == (403, "scope")
    assert (await undo(api, path, alice.headers, direction="sideways")).status == 422
    assert (workspaces().at(alice.owner).base / "a.txt").exists()


async def test_changes_are_shown_undone_and_made_again(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat", "tools", "files.read", "files.write")
    base = workspaces().at(alice.owner).base
    (base / "a.txt").write_text("one\nthree\n")
    api = await start(Scripted())
    path = await changed(api, alice.headers, WRITE)
    found = await api.get(f"{path}/changes", headers=alice.headers)
    assert [(file["path"], file["action"], file["restorable"]) for file in found["files"]] == [
        ("a.txt", "changed", True)
    ]
    assert "-three\n+two\n" in found["diff"]
    assert (found["truncated"], found["commands"], found["note"]) == (False, 0, None)
    undone = (await undo(api, path, alice.headers)).json()
    assert (undone["files"], (base / "a.txt").read_text()) == ([{"path": "a.txt", "action": "written"}], "one\nthree\n")
    again = (await undo(api, path, alice.headers, direction="redo")).json()
    assert (again["direction"], (base / "a.txt").read_text()) == ("redo", "one\ntwo\n")
    (base / "a.txt").write_text("a person's work")
    refused = await undo(api, path, alice.headers)
    assert (refused.status, refused.json()["code"]) == (409, "changed_since")
    assert refused.json()["detail"][0]["field"] == "a.txt"
    assert (base / "a.txt").read_text() == "a person's work"


async def test_commands_are_said_not_to_be_covered(start: Start, make_key: MakeKey, settings: Any) -> None:
    alice = await make_key("alice", "chat", "tools", "files.read", "files.write")
    api = await start(Scripted())
    path = await changed(api, alice.headers, RUN, WRITE)
    found = await api.get(f"{path}/changes", headers=alice.headers)
    assert (found["commands"], "cannot write" in found["note"]) == (1, True)
    settings.TERMINAL_WRITABLE = True
    assert "not covered" in (await undo(api, path, alice.headers)).json()["note"]


async def test_policy_and_masking_hold_for_changes(
    start: Start, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice", "chat", "tools", "files.read", "files.write")
    api = await start(Scripted())
    hidden = {"name": "fs.write", "params": {"path": "hidden/b.txt", "content": "plover"}}
    token = {"name": "fs.write", "params": {"path": "t.txt", "content": "key = sk-proj-" + "a1B2" * 12}}
    path = await changed(api, alice.headers, WRITE, hidden, token)
    monkeypatch.setattr(conf, "policy", lambda: parse("deny fs.* path=hidden/*"))
    found = await api.get(f"{path}/changes", headers=alice.headers)
    assert [file["path"] for file in found["files"]] == ["a.txt", "t.txt"]
    assert "plover" not in found["diff"]
    assert "a1B2a1B2" not in found["diff"]
    assert (await undo(api, path, alice.headers)).status == 403
    assert (workspaces().at(alice.owner).base / "a.txt").exists()
