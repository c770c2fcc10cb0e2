"""The commands `mcp_accept` and `mcp_list`, with servers on real sockets.

Covers `tools.management.commands.mcp_accept`, `tools.management.commands.mcp_list`.
"""

import json
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from tests.tools.mcp_client.fake import Fake, listed, running
from tools.management.commands import mcp_accept
from tools.mcp_client import pins

pytestmark = pytest.mark.django_db(transaction=True)


async def said(*command: str) -> str:
    """Run a command in a thread, because it has an event loop of its own."""
    out = StringIO()
    await sync_to_async(call_command)(*command, stdout=out, stderr=StringIO())
    return out.getvalue()


async def test_server_that_is_not_named_is_refused(settings: Any) -> None:
    with pytest.raises(CommandError, match="There is no MCP server 'wiki'; MCP_SERVERS_FILE and the console name none"):
        await said("mcp_accept", "wiki")
    settings.MCP_SERVERS = (Fake().entry(),)
    with pytest.raises(CommandError, match="no MCP server 'wiki'; there are fake"):
        await said("mcp_accept", "wiki")
    with pytest.raises(CommandError, match="The MCP server fake cannot be reached"):
        await said("mcp_accept", "fake")


async def test_missing_library_is_reported(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MCP_SERVERS = (Fake().entry(),)
    monkeypatch.setattr(mcp_accept, "installed", lambda: False)
    with pytest.raises(CommandError, match="mcp is not installed; run uv sync --extra mcp"):
        await said("mcp_accept", "fake")


async def test_nothing_is_accepted_without_an_answer(settings: Any) -> None:
    async with running() as fake:
        settings.MCP_SERVERS = (fake.entry(),)
        with pytest.raises(CommandError, match="Nothing was accepted"):
            await said("mcp_accept", "fake")
        assert await sync_to_async(pins.accepted)() == {}


async def test_tools_are_shown_and_accepted(settings: Any) -> None:
    async with running(listed("echo", "Say \x1b[31m it."), listed("bad name")) as fake:
        settings.MCP_SERVERS = (fake.entry(),)
        shown = await said("mcp_accept", "fake", "--yes")
        assert "new: echo" in shown
        assert "not offered: bad name: its name must have" in shown
        assert "\x1b" not in shown
        assert shown.endswith("Accepted 2 tools of fake. The service offers them within seconds.\n")
        assert "Nothing has changed: 2 tools of fake" in await said("mcp_accept", "fake")
        fake.tools = [listed("echo", "Other.")]
        report = json.loads(await said("mcp_accept", "fake", "--yes", "--json"))
        assert report["difference"] == {
            "new": [], "changed": {"echo": ["description"]}, "renamed": {}, "gone": ["bad name"]
        }  # fmt: skip
        assert report["changed"] is True


async def test_names_that_collide_are_not_accepted(settings: Any) -> None:
    async with running(listed("a.b"), listed("a_b")) as fake:
        settings.MCP_SERVERS = (fake.entry(),)
        with pytest.raises(CommandError, match=r"mcp\.fake\.a_b and mcp\.fake\.a\.b have the same name for models"):
            await said("mcp_accept", "fake", "--yes")


async def test_servers_are_listed_with_what_differs(settings: Any) -> None:
    assert await said("mcp_list") == ""
    down = await Fake().start()
    await down.stop()
    async with running() as fake:
        settings.MCP_SERVERS = (fake.entry(), down.entry(name="down", url=f"http://127.0.0.1:{down.port}/mcp?key=abc"))
        assert "not accepted: run mcp_accept fake" in await said("mcp_list")
        await said("mcp_accept", "fake", "--yes")
        fake.tools.append(listed("extra"))
        first, second = json.loads(await said("mcp_list", "--json"))["items"]
        assert (first["state"], first["accepted"], first["listed"]) == ("differs: new: extra", 1, 2)
        assert second["listed"] is None
        assert "cannot be reached" in second["state"]
        assert "abc" not in json.dumps(second)
