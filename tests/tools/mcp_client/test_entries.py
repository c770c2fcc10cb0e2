"""MCP servers that a superuser names in the console."""

import asyncio
import html
from functools import cache
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from audit.models import AuditEntry
from tests.managing import manage, migrated
from tests.tools.mcp_client.fake import running
from tools import assembly, conf, shared_tools
from tools.mcp_client import entries, pins
from tools.mcp_client.connection import list_tools
from tools.mcp_client.entries import EntryRefused
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import tool_set
from tools.models import McpServerEntry

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/tools/mcptoolset/"
URL = 'url = "https://wiki.example/mcp"\n'


@pytest.fixture(autouse=True)
def variables(settings: Any) -> None:
    settings.MCP_VARIABLES = {"MCP_SECRET_WIKI": "Bearer w1ki-t0ken"}


def user(**fields: Any) -> User:
    return User.objects.create(username="op", is_staff=True, **fields)


def console(**fields: Any) -> Client:
    client = Client()
    client.force_login(user(**fields))
    return client


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("Wiki", URL, "the name 'Wiki' must be 1 to 32 lower-case letters"),
        ("", URL, "the name '' must be"),
        ("a.b", URL, "the name 'a.b' must be"),
        ("wiki", "", "url or command is missing"),
        ("wiki", "url = ", "The entry is not TOML"),
        ("wiki", 'url = "ftp://x"', "line 1: .*url must be a URL"),
        ("wiki", URL + "colour = 1", "line 2: .*there is no field 'colour'"),
        ("wiki", 'command = ["sh", "-c", "id"]', "command: a server that is a program can only be named in MCP"),
        ("wiki", URL + "network = true", "network: a server that is a program"),
        ("wiki", URL + 'read = ["/"]', "read: a server that is a program"),
        ("wiki", URL + 'headers = { Authorization = "Bearer x" }', "must be names of variables: env:MCP_SECRET_NAME"),
        ("wiki", URL + 'headers = { X = "env:SECRET_KEY" }', "must be names of variables"),
        ("wiki", URL + 'headers = { X = "env: MCP_SECRET_WIKI" }', "must be names of variables"),
        ("wiki", URL + "headers = { X = 7 }", "must be names of variables"),
        ("wiki", URL + "headers = 7", "headers"),
        ("wiki", URL + 'oauth = true\noauth_client_secret = "env:OPENAI_API_KEY"', "must be names of variables"),
        ("wiki", URL + 'headers = { X = "env:MCP_SECRET_GONE" }', "the variable 'MCP_SECRET_GONE' .* is not set"),
        ("wiki", "[servers.other]\n" + URL, "no field 'servers'"),
        ("wiki", URL + "#" * 9_000, "longer than 8192 characters"),
        ("named", URL, "There is a server named already"),
    ],
)  # fmt: skip
def test_entry_that_cannot_be_used_is_refused_in_one_sentence(
    settings: Any, name: str, text: str, problem: str
) -> None:
    settings.MCP_SERVERS = (McpServer(name="named", url="http://127.0.0.1:9/mcp"),)
    with pytest.raises(EntryRefused, match=problem) as refusal:
        entries.add(name, text, user(is_superuser=True))
    assert "\n" not in str(refusal.value)
    assert entries.entries() == {}


def test_entry_is_audited_and_its_secret_stays_in_the_environment() -> None:
    text = URL + 'headers = { Authorization = "env:MCP_SECRET_WIKI" }'
    admin = user(is_superuser=True)
    entries.add("wiki", text, admin)
    with pytest.raises(EntryRefused, match="There is a server wiki already"):
        entries.add("wiki", text, admin)
    (server,) = entries.servers()
    assert (server.name, server.headers) == ("wiki", {"Authorization": "Bearer w1ki-t0ken"})
    assert "w1ki" not in str(McpServerEntry.objects.values())
    assert entries.remove("wiki", admin)
    assert not entries.remove("wiki", admin)
    rows = AuditEntry.objects.filter(kind__startswith="mcp_server").order_by("number")
    assert list(rows.values_list("kind", "subject", "actor")) == [
        ("mcp_server.added", "wiki", "op"),
        ("mcp_server.removed", "wiki", "op"),
    ]


def test_entry_whose_variable_is_gone_does_not_affect_the_others(settings: Any) -> None:
    admin = user(is_superuser=True)
    entries.add("wiki", URL + 'headers = { X = "env:MCP_SECRET_WIKI" }', admin)
    entries.add("other", URL, admin)
    settings.MCP_VARIABLES = {}
    assert [server.name for server in entries.servers()] == ["other"]


def test_only_superusers_name_servers_in_the_console() -> None:
    client = console(is_superuser=True)
    form = {"name": "wiki", "text": URL}
    assert "Add the server" in client.get(LIST).content.decode()
    assert client.get(f"{LIST}add-server/").status_code == 405
    bad = client.post(f"{LIST}add-server/", {**form, "text": "<script>"}).content.decode()
    assert "The entry is not TOML" in bad
    assert "<script>" not in bad.replace("<script ", "")
    assert "is added" in client.post(f"{LIST}add-server/", form, follow=True).content.decode()
    shown = client.get(LIST).content.decode()
    assert "https://wiki.example/mcp" in shown
    assert "Remove wiki" in shown
    User.objects.update(is_superuser=False)
    for view in ("add-server", "remove-server"):
        assert client.post(f"{LIST}{view}/", form).status_code == 403
    User.objects.update(is_superuser=True)
    assert "is removed" in client.post(f"{LIST}remove-server/", {"name": "wiki"}, follow=True).content.decode()
    assert entries.entries() == {}


def test_refused_entry_can_be_corrected_and_shows_no_secret() -> None:
    client = console(is_superuser=True)
    text = (
        f'{URL}colour = 1\ntotal_seconds = 5\nheaders = {{ A = "env:MCP_SECRET_WIKI", B = "env:OTHER" }}\n'
        'headers = { Authorization = "Bearer t0p" }\nheaders = { Authorization = Bearer t0p }\n"Bearer t0p" = 1\n'
        'url = "https://u:t0p@wiki.example/?key=t0p"\n# t0p\neffect = "read" # t0p\noauth_client_secret = "t0p"\n'
        '[headers]\n\'X-Key\' = \'t0p\'\nX-Other = "env:MCP_SECRET_WIKI"\n\n"""\nt0p\n'
    )
    page = client.post(f"{LIST}add-server/", {"name": 'wiki"><b>', "text": text}).content.decode()
    assert "The entry is not TOML" in page
    assert 'value="wiki&quot;&gt;&lt;b&gt;"' in page
    kept = html.unescape(page).partition("<textarea")[2].partition("</textarea>")[0]
    assert "t0p" not in page
    for line in (
        URL,
        "colour = 1\n",
        "total_seconds = 5\n",
        'B = "env:OTHER" }',
        "[headers]\n",
        'X-Other = "env:MCP_SECRET_WIKI"\n',
    ):
        assert line in kept
    assert kept.count(entries.LEFT_OUT) == 10
    assert "open" not in client.get(LIST).content.decode().partition('id="name-server"')[2].partition(">")[0]


async def test_list_tools_shows_the_tools_of_servers_that_only_the_console_names(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MCP_SERVERS = ()
    monkeypatch.setattr(shared_tools, "_accepted_servers", shared_tools.AcceptedServers())
    monkeypatch.setattr(assembly, "registry", cache(assembly.registry.__wrapped__))
    async with running() as fake:
        found = await list_tools(fake.entry())
        await sync_to_async(lambda: entries.add("fake", f'url = "{fake.entry().url}"', user(is_superuser=True)))()
        await sync_to_async(lambda: pins.accept("fake", found, by="op"))()
    out = StringIO()
    monkeypatch.setattr(assembly, "tool_context", cache(assembly.tool_context.__wrapped__))
    await asyncio.to_thread(call_command, "list_tools", stdout=out)
    assert "mcp.fake.echo" in out.getvalue()


async def test_tools_of_an_entry_are_offered_and_withdrawn_without_a_restart(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MCP_SERVERS = ()
    offered = shared_tools.AcceptedServers()
    assert offered.servers() == ()
    assert conf.mcp_servers() == ()
    async with running() as fake:
        found = await list_tools(fake.entry())
        await sync_to_async(lambda: entries.add("fake", f'url = "{fake.entry().url}"', user(is_superuser=True)))()
        assert await offered.renew()
        assert offered.servers() == ()
        await sync_to_async(lambda: pins.accept("fake", found, by="op"))()
        assert await offered.renew()
        assert [tool.name for server in offered.servers() for tool in server.tools()] == ["mcp.fake.echo"]
        assert not await offered.renew()
        await sync_to_async(lambda: entries.remove("fake", User.objects.get()))()
        assert await offered.renew()
        assert offered.servers() == ()


def test_commands_know_the_servers_of_the_console(tmp_path: Any) -> None:
    migrated(tmp_path)
    missing = manage(tmp_path, "mcp_accept", "wiki")
    assert "There is no MCP server 'wiki'; MCP_SERVERS_FILE and the console name none." in missing.stderr


def test_secret_of_an_entry_is_masked_with_and_without_its_scheme(tmp_path: Any) -> None:
    code = "from tools import conf; print(conf.masker().text('<w1ki-t0ken-0123456789> <Bearer w1ki-t0ken-0123456789>'))"
    shown = manage(tmp_path, "shell", "--no-imports", "-c", code, MCP_SECRET_WIKI="Bearer w1ki-t0ken-0123456789")
    assert "<[secret]> <[secret]>" in shown.stdout


def test_set_of_another_server_is_no_entry() -> None:
    pins.note_found("wiki", tool_set([{"name": "page", "inputSchema": {"type": "object"}}]))
    assert entries.servers() == conf.mcp_servers()
