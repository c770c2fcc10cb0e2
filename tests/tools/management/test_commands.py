"""The management commands of the tools, as an administrator runs them.

Covers `tools.management.commands.list_approvals`, `tools.management.commands.list_tools`,
`tools.management.commands.run_tool`, `tools.management.decision_command`.
"""

import json
import re
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.managing import managed, migrated
from tools import assembly
from tools.assembly import registry
from tools.base import Execution, JsonParams, Tool, ToolSpec
from tools.models import ToolExecution
from tools.policy import parse
from tools.resources import workspaces

pytestmark = pytest.mark.django_db(transaction=True)


def said(*command: str, **options: Any) -> str:
    out = StringIO()
    call_command(*command, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def waiting() -> ToolExecution:
    return ToolExecution.objects.create(
        id=uuid4(), owner="operator", tool="fs.write", source="model", params={"path": "a\x1b[31m"},
        params_sha256="0" * 64, status="awaiting_approval", created=timezone.now(),
        expires=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


def test_tools_are_listed() -> None:
    lines = said("list_tools").splitlines()
    assert [line.split()[0] for line in lines] == list(registry().names)
    assert json.loads(said("list_tools", "--json"))["items"][0]["parameters"]["required"] == ["path"]


def test_tool_is_run_and_recorded() -> None:
    workspaces().root.write("commands/a.txt", b"one\ntwo\nthree\n")
    reported = json.loads(said("run_tool", "fs.read", "--param", "path=commands/a.txt", "--param", "limit=1"))
    assert reported["content"] == "one\n"
    row = ToolExecution.objects.get()
    assert (row.status, row.source, row.params) == ("succeeded", "caller", {"path": "commands/a.txt", "limit": 1})


@pytest.mark.parametrize("schema", [{}, {"properties": {"size": True}}, {"properties": []}])
def test_tool_with_a_schema_from_outside_is_run(schema: dict[str, Any]) -> None:
    async def run(params: Any, execution: Execution) -> dict[str, Any]:
        return dict(params.given)

    spec = ToolSpec(name="any.json", description="", parameters=schema)
    registry().register(Tool(spec=spec, effect="read", params=JsonParams, run=run, schema='{"type": "object"}'))
    try:
        assert json.loads(said("run_tool", "any.json", "--param", "size=3")) == {"size": "3"}
    finally:
        registry().renew()


def test_names_are_utf_8_in_every_locale(tmp_path: Path) -> None:
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "workspaces" / "日本.txt").write_text("hello\n")
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    reported = managed(migrated(tmp_path), "run_tool", "fs.read", "--param", "path=日本.txt", **locale)
    assert json.loads(reported)["content"] == "hello\n"


@pytest.mark.parametrize(
    ("command", "reported"),
    [
        (("fs.shout",), "There is no tool 'fs.shout'; there are fs.read"),
        (("fs.read",), "invalid_params: Object missing required field `path`"),
        (("fs.read", "--param", "path=../x"), "outside_workspace"),
        (("fs.read", "--param", "path"), "is not NAME=VALUE"),
        (("fs.read", "--param", "path=a", "--param", "limit=many"), "invalid_params: Expected `int"),
    ],
)
def test_invalid_command_is_reported(command: tuple[str, ...], reported: str) -> None:
    with pytest.raises(CommandError, match=re.escape(reported)):
        said("run_tool", *command)


def test_call_that_needs_approval_runs_with_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = msgspec.structs.replace(assembly.tool_context(), policy=parse("ask fs.write"))
    monkeypatch.setattr(assembly, "tool_context", lambda: asking)
    command = ("run_tool", "fs.write", "--param", "path=commands/asked.txt", "--param", "content=x")
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="add --yes"):
        said(*command)
    assert not (workspaces().root.base / "commands/asked.txt").exists()
    assert json.loads(said(*command, "--yes"))["created"]


def test_waiting_calls_are_listed_and_decided() -> None:
    rows = [waiting(), waiting()]
    listed = said("list_approvals")
    assert all(str(row.id) in listed for row in rows)
    assert "\x1b" not in listed
    assert json.loads(said("list_approvals", "--json"))["items"][0]["params"] == {"path": "a\x1b[31m"}
    decided = json.loads(said("approve_tool", str(rows[0].id), "--json"))
    assert (decided["id"], decided["decision"]) == (str(rows[0].id), "approved")
    said("deny_tool", str(rows[1].id), "--note", "No.")
    for row in rows:
        row.refresh_from_db()
    assert [(row.decision, row.decided_by, row.note) for row in rows] == [
        ("approved", "command line", ""),
        ("denied", "command line", "No."),
    ]
    with pytest.raises(CommandError, match="The execution was approved already"):
        said("deny_tool", str(rows[0].id))
    with pytest.raises(CommandError, match="There is no such execution"):
        said("approve_tool", str(uuid4()))
    third = waiting()
    with pytest.raises(CommandError, match="not those that were shown"):
        said("approve_tool", str(third.id), "--params-sha256", "f" * 64)


def test_list_names_the_texts_from_outside() -> None:
    row = waiting()
    row.taint = {"web": "web.fetch", "mcp": "mcp.wiki.page"}
    row.save()
    assert "holds texts from outside: mcp (mcp.wiki.page), web (web.fetch)\n" in said("list_approvals")


def test_list_shows_what_a_call_reaches_before_long_params() -> None:
    row = waiting()
    row.params = {"content": "x" * 5_000, "path": "deploy/run.sh\x9b31m\u202e"}
    row.save()
    listed = said("list_approvals")
    assert listed.index("path: deploy/run.sh\\x9b31m\\u202e\n") < listed.index("content: xxx")
    assert "(5,000 characters" in listed
    assert "x" * 5_000 in said("list_approvals", str(row.id))
    with pytest.raises(CommandError, match="No execution with the ID"):
        said("list_approvals", str(uuid4()))


def test_result_of_a_tool_has_no_character_that_a_terminal_obeys() -> None:
    (workspaces().root.base / "odd.txt").write_text("\x1b]0;owned\x07 \x9b31m \u202e 日本\n")
    try:
        shown = said("run_tool", "fs.read", "--param", "path=odd.txt")
        assert "日本" in shown
        assert not any(c in shown for c in "\x1b\x07\x9b\u202e")
        assert "\u202e" in json.loads(shown)["content"]
    finally:
        (workspaces().root.base / "odd.txt").unlink()
