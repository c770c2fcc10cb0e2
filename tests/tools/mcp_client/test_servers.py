"""The file of MCP servers: faults with their lines first.

Covers `web.toml_file`, `orchestrator_site.environment.provider_settings`.
"""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from orchestrator_site.environment.provider_settings import mcp_servers
from orchestrator_site.environment.variables import Environment
from scripts.source import ROOT
from tools.mcp_client.servers import MAX_SERVERS, McpServer, read
from web.toml_file import MAX_BYTES, InvalidFile

CAT = "[servers.a]\ncommand = ['cat']"
URL = 'url = "https://host.example/mcp"'


def declared(folder: Path, text: str, **variables: str) -> tuple[McpServer, ...]:
    (folder / "mcp.toml").write_text(text)
    return read(folder / "mcp.toml", lambda name: variables.get(name, ""))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[servers.a\nx = 1", 1, "is not TOML"),
        ("[servers.a]\nurl = ", 2, "is not TOML"),
        ("[server.a]\n" + URL, 1, "no table 'server': write [servers.NAME]"),
        ("servers = 3", 1, "no table 'servers': write [servers.NAME]"),
        ("[servers]\na = 3", 1, "[servers.a]: it: expected `object`"),
        ("[servers.Upper]\n" + URL, 1, "must be 1 to 32 lower-case letters"),
        ('[servers."a.b"]\n' + URL, 1, "the name 'a.b' must be"),
        (f"[servers.{'x' * 33}]\n" + URL, 1, "must be 1 to 32 lower-case letters"),
        ("\n[servers.a]\neffect = 'read'", 2, "url or command is missing: give url ="),
        ("[servers.a]\nurl = 'ftp://x'", 2, "url must be a URL that starts with http:// or https://"),
        ("[servers.a]\nurl = 'http://u:p@x'", 2, "without a user, a password or a fragment"),
        ("[servers.a]\nurl = 7", 2, "url: expected `str"),
        (f"[servers.b]\n{URL}\n[servers.a]\n{URL}\nurls = 1", 5, "no field 'urls'; there are effect, connect_seconds"),
        (f"[servers.a]\n{URL}\neffect = 'all'", 3, "it is one of read, write, execute, network"),
        (f"[servers.a]\n{URL}\nconnect_seconds = 0", 3, "connect_seconds: expected `float` >= 0.1"),
        (f"[servers.a]\n{URL}\ntotal_seconds = 9999", 3, "total_seconds: expected `float` <= 3600"),
        (f"[servers.a]\n{URL}\nsilence_seconds = 301", 3, "must be at most total_seconds, which is 300"),
        (f"[servers.a]\n{URL}\nmax_result_bytes = 1", 3, "max_result_bytes: expected `int` >= 1024"),
        (f"[servers.a]\n{URL}\nmax_parallel = 65", 3, "max_parallel: expected `int` <= 64"),
        (f"[servers.a]\n{URL}\nheaders = {{ Host = 'x' }}", 3, "the header 'Host' cannot be set here"),
        (f"[servers.a]\n{URL}\nheaders = {{ Mcp-Session-Id = 'x' }}", 3, "cannot be set here"),
        (f"[servers.a]\n{URL}\nheaders = {{ 'a b' = 'x' }}", 3, "cannot be set here"),
        (f"[servers.a]\n{URL}\n[servers.a.headers]\nX-Key = 'env:GONE'", 4, "the variable 'GONE' of the header X-Key"),
        (f"[servers.a]\n{URL}\nheaders = {{ X-Key = 'caf\u00e9' }}", 3, "a character that an HTTP header cannot have"),
        (f"[servers.a]\n{URL}\nheaders = {{ X-Key = 7 }}", 3, "headers: expected `str"),
        (f"[servers.a]\n{URL}\nidle_seconds = 'x'", 3, "idle_seconds: expected `float`, got `str`"),
        (f"[servers.a]\n{URL}\n[servers.a]\n{URL}", 3, "is not TOML: Cannot declare"),
        (f"[servers.a]\n{URL}\ncommand = ['cat']", 3, "there is a url and a command: give one of them"),
        (f"[servers.a]\n{URL}\nnetwork = true", 3, "network is for a server with a command, and this one has none"),
        (f"[servers.a]\n{URL}\nread = []", 3, "read is for a server with a command"),
        ("[servers.a]\ncommand = 'npx'", 2, "expected `array`, got `str`; it is a list of a program and its arguments"),
        ("[servers.a]\ncommand = []", 2, "command: expected `array` of length >= 1"),
        ("[servers.a]\ncommand = [7]", 2, "command: expected `str`, got `int`"),
        ('[servers.a]\ncommand = ["cat", "a\\u0000"]', 2, "command: a word has a NUL"),
        ("[servers.a]\ncommand = ['gone']", 2, "command: There is no program 'gone' in "),
        ("[servers.a]\ncommand = ['./gone']", 2, "must be a name, or an absolute path"),
        ("[servers.a]\ncommand = ['/gone/x']", 2, "command: there is no program at /gone/x, or it is a link"),
        (f"{CAT}\nheaders = {{ A = 'b' }}", 3, "headers: only a server with a url has this field; give environment"),
        (f"{CAT}\noauth = true", 3, "oauth: only a server with a url has this field"),
        (f"[servers.a]\n{URL}\noauth = 'yes'", 3, "oauth: expected `bool`, got `str`; it is true or false"),
        (f"[servers.a]\n{URL}\noauth_scope = 'x'", 3, "oauth_scope has an effect only with oauth = true"),
        (f"[servers.a]\n{URL}\noauth = true\noauth_client_secret = 'env:GONE'", 4, "the variable 'GONE'"),
        (f"[servers.a]\n{URL}\noauth = true\nheaders = {{ Authorization = 'x' }}", 4, "is the owner's token"),
        (f"{CAT}\nread = ['gone']", 3, "read: 'gone' is not an absolute path of a folder that exists"),
        (f"{CAT}\nread = ['/gone']", 3, "read: '/gone' is not an absolute path of a folder that exists"),
        (f"{CAT}\nwrite = ['/etc/passwd']", 3, "write: '/etc/passwd' is not an absolute path of a folder"),
        (f"{CAT}\nwrite = '/tmp'", 3, "expected `array`, got `str`; it is a list of absolute paths of folders"),
        (f"{CAT}\nnetwork = 'yes'", 3, "network: expected `bool`, got `str`; it is true or false"),
        (f"{CAT}\nmemory_bytes = 1", 3, "memory_bytes: expected `int` >= 16777216"),
        (f"{CAT}\ntasks = 0", 3, "tasks: expected `int` >= 1"),
        (f"{CAT}\nenvironment = {{ A = 1 }}", 3, "expected `str`, got `int`; it is a table of variables"),
        (f"{CAT}\nenvironment = {{ '1A' = 'x' }}", 3, "the variable '1A' must have 1 to 80 letters"),
        (f"{CAT}\nenvironment = {{ A = 'env:GONE' }}", 3, "the variable 'GONE' of the variable A is not set"),
        (f'{CAT}\nenvironment = {{ A = "\\u0000" }}', 3, "the variable A has a NUL"),
    ],
)  # fmt: skip
def test_fault_is_one_sentence_with_the_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        declared(tmp_path, text)
    message = str(caught.value)
    assert said in message
    assert str(tmp_path / "mcp.toml") in message
    assert f"line {line}" in message
    assert "\n" not in message


def test_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="cannot be read: No such file"):
        read(tmp_path / "gone.toml", lambda name: "")
    (tmp_path / "mcp.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidFile, match="is not in UTF-8"):
        read(tmp_path / "mcp.toml", lambda name: "")
    (tmp_path / "mcp.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InvalidFile, match="is larger than"):
        read(tmp_path / "mcp.toml", lambda name: "")


def test_too_many_servers_are_refused(tmp_path: Path) -> None:
    tables = "\n".join(f"[servers.s{number}]\n{URL}" for number in range(MAX_SERVERS + 1))
    with pytest.raises(InvalidFile, match=f"there are {MAX_SERVERS + 1} servers; {MAX_SERVERS} at most"):
        declared(tmp_path, tables)


def test_secret_of_a_header_is_in_no_message_and_is_masked(tmp_path: Path) -> None:
    text = f"[servers.a]\n{URL}\nheaders = {{ X-Key = 'env:KEY' }}\nbad = 1"
    with pytest.raises(InvalidFile) as caught:
        declared(tmp_path, text, KEY="a-secret")
    assert "a-secret" not in str(caught.value)
    (server,) = declared(tmp_path, text.removesuffix("\nbad = 1"), KEY="Bearer a-secret")
    assert server.headers == {"X-Key": "Bearer a-secret"}
    assert set(server.secrets) == {"Bearer a-secret", "a-secret"}


def test_only_values_of_variables_are_secrets_of_a_program(tmp_path: Path) -> None:
    environment = "{ MODE = 'quiet', TOKEN = 'env:KEY' }"
    (server,) = declared(tmp_path, f"{CAT}\nenvironment = {environment}", KEY="a-secret")
    assert server.environment == {"MODE": "quiet", "TOKEN": "a-secret"}
    assert server.secrets == ("a-secret",)


def test_example_declares_servers_with_all_fields(tmp_path: Path) -> None:
    text = (ROOT / "mcp_servers.example.toml").read_text()
    tracker, wiki, notes, clock = declared(tmp_path, text, TRACKER_AUTHORIZATION="Bearer x")
    assert (tracker.name, tracker.headers, tracker.effect) == ("tracker", {"Authorization": "Bearer x"}, "network")
    assert wiki.effect == "read"
    assert McpServer(name="notes", url=notes.url, oauth=True) == notes
    assert McpServer(name="wiki", url=wiki.url, effect="read") == wiki
    assert McpServer(name="clock", command=clock.command, environment={"TZ": "UTC"}) == clock


def test_setting_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "mcp.toml").write_text("[servers.a]\n")
    env = Environment({"MCP_SERVERS_FILE": str(tmp_path / "mcp.toml")}, tmp_path / ".env")
    with pytest.raises(ImproperlyConfigured, match=r"^MCP_SERVERS_FILE: .*mcp\.toml, line 1: \[servers\.a\]: url or"):
        mcp_servers(env, "MCP_SERVERS_FILE")
    assert mcp_servers(Environment({}, tmp_path / ".env"), "MCP_SERVERS_FILE") == ()
