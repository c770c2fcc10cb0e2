"""The tools of two callers: each works in a workspace of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from access.models import ApiKey
from chat.providers.scripted import Scripted
from storage.writer import writer
from tests.access.conftest import Holder, MakeKey
from tests.conftest import Api, Start
from tools.resources import workspaces
from tools.workspaces.scope import Workspaces


@pytest.fixture(autouse=True)
def own_folder() -> Iterator[Workspaces]:
    spaces = workspaces()
    yield spaces
    shutil.rmtree(spaces.folder, ignore_errors=True)


async def delete_all_keys() -> None:
    """Make the service keyless again: its local caller is the operator."""
    await writer.write(ApiKey.objects.all().delete)


async def run(api: Api, holder: Holder | None, tool: str, **params: Any) -> dict[str, Any]:
    """Return the result of a tool, or its error."""
    body = {"tool_calls": [{"name": tool, "params": params}]}
    answer = await api.call("POST", "/chat/stream", json=body, headers=holder.headers if holder else {})
    (last,) = [event for event in answer.events if event["type"] in {"tool_result", "tool_error"}]
    return dict(last.get("data") or last)


async def test_each_owner_sees_only_files_of_its_own(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", "chat", "tools"), await make_key("bob", "chat", "tools")
    api = await start(Scripted())
    written = await run(api, alice, "fs.write", path="notes/plan.txt", content="plover")
    assert written["created"]
    assert [entry["path"] for entry in (await run(api, alice, "fs.list", recursive=True))["entries"]] == [
        "notes",
        "notes/plan.txt",
    ]
    for tool, params in {
        "fs.read": {"path": "notes/plan.txt"},
        "fs.list": {"path": "notes"},
        "git.status": {"path": "notes"},
        "terminal.exec": {"command": "cat notes/plan.txt", "cwd": "notes"},
        "speech.transcribe": {"path": "notes/plan.txt"},
    }.items():
        assert (await run(api, bob, tool, **params))["code"] == "not_found", tool
    assert (await run(api, bob, "fs.search", pattern="plover"))["matches"] == []
    assert (await run(api, bob, "terminal.exec", command="find ."))["stdout"].strip() == "."
    # The file of the other owner is named by its whole path.
    path = str(workspaces().at(alice.owner).base / "notes/plan.txt")
    assert (await run(api, bob, "fs.read", path=path))["code"] == "outside_workspace"
    assert "plover" not in str(await run(api, bob, "terminal.exec", command=f"cat {path}"))


async def test_commands_and_git_see_the_workspace_of_their_owner(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", "chat", "tools"), await make_key("bob", "chat", "tools")
    api = await start(Scripted())
    base = workspaces().at(alice.owner).base
    subprocess.run(["git", "init", "-q", base], check=True)  # noqa: ASYNC221  it takes milliseconds
    (base / "a.txt").write_text("plover")
    assert [file["path"] for file in (await run(api, alice, "git.status"))["untracked"]] == ["a.txt"]
    assert (await run(api, alice, "terminal.exec", command="cat a.txt"))["stdout"] == "plover"
    assert (await run(api, bob, "git.status"))["code"] == "not_found"


@pytest.mark.parametrize("scope", ["owner", "session"])
async def test_sessions_share_files_only_in_the_scope_owner(
    start: Start, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    monkeypatch.setattr(workspaces(), "scope", scope)
    alice, bob = await make_key("alice", "chat", "tools"), await make_key("bob", "chat", "tools")
    api = await start(Scripted())
    call = {"name": "fs.write", "params": {"path": "a.png", "content": "iVBORw0KGgo=", "encoding": "base64"}}
    first = await api.call("POST", "/chat/stream", json={"tool_calls": [call]}, headers=alice.headers)
    session = first.one("start")["session_id"]
    read = {"name": "fs.read", "params": {"path": "a.png"}}
    again = await api.call(
        "POST", "/chat/stream", json={"session_id": session, "tool_calls": [read]}, headers=alice.headers
    )
    assert again.one("tool_result")["tool"] == "fs.read"
    other = await api.call("POST", "/chat/stream", json={"tool_calls": [read]}, headers=alice.headers)
    assert [event["type"] for event in other.events[2:3]] == ["tool_result" if scope == "owner" else "tool_error"]
    # An attachment is read before the run has claimed the session: that of another owner does not exist.
    attached = {"session_id": session, "message": "Look", "attachments": [{"path": "a.png"}]}
    assert (await api.call("POST", "/chat/stream", json=attached, headers=bob.headers)).status == 404
    answer = await api.call("POST", "/chat/stream", json=attached, headers=alice.headers)
    assert answer.status == 200 or "images" in answer.text


async def test_operator_works_in_the_root_and_sees_no_other_workspace(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat", "tools")
    spaces = workspaces()
    spaces.at(alice.owner).write("a.txt", b"quince")
    (spaces.root.base / "own.txt").write_text("mine")
    api = await start(Scripted())
    await delete_all_keys()
    found = await run(api, None, "fs.list", recursive=True, ignored=True)
    assert "own.txt" in [entry["path"] for entry in found["entries"]]
    assert "workspaces" not in str(found)
    # A command may list names, as it may those of secrets, but reads nothing.
    searched = await run(api, None, "terminal.exec", command="grep -r quince .")
    assert "quince" not in searched["stdout"]
    read = await run(api, None, "fs.read", path=str(spaces.path(alice.owner) / "a.txt"))
    assert read["code"] == "not_allowed"
