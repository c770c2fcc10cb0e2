"""The template in `examples/plugin`, installed as its page describes, and used through a real service.

Covers `tools.plugins.spec` and `speech.providers.spec`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from command_line.program import FOLDER
from plugins.setting import Values
from tests.managing import manage
from tests.orchestrator_site.test_serve import address, serving
from tools.base import Tool, tool
from tools.plugins.spec import PluginBroken, PluginTools, ToolsSpec
from tools.workspace import Workspace

SECRET = "weather-key-51c0ffee"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the installed template."""
    uv = shutil.which("uv", path=f"{os.environ['PATH']}:{FOLDER / '.uv' / 'bin'}")
    if uv is None:
        pytest.skip("uv is not installed, which builds the template without a network")
    target = tmp_path_factory.mktemp("plugin") / "packages"
    command = [uv, "pip", "install", "--offline", "--no-deps", "--target", str(target), str(FOLDER / "examples/plugin")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    prefix = "data: "
    return [json.loads(line.removeprefix(prefix)) for line in answer.text.splitlines() if line.startswith(prefix)]


def test_tools_and_providers_of_the_template_work_in_a_service(installed: Path, tmp_path: Path) -> None:
    variables = {
        "PYTHONPATH": str(installed),
        "PLUGINS": "orchestrator-weather",
        "DEFAULT_PROVIDER": "parrot",
        "WEATHER_STATION": f"station {SECRET}",
        "WEATHER_KEY": SECRET,
        "TOOL_POLICY": "deny weather.today city=Rome",
    }
    with serving(tmp_path, **variables) as (output, _), httpx.Client(base_url=address(output)) as client:
        calls = [
            {"name": "weather.today", "params": {"city": "Oslo"}},
            {"name": "weather.today", "params": {"city": "Rome"}},
            {"name": "weather.today", "params": {"city": ""}},
            {"name": "weather.today", "params": {"city": "Atlantis"}},
            {"name": "weather.note", "params": {"path": "note.txt", "city": "Oslo"}},
            {"name": "weather.note", "params": {"path": "../note.txt", "city": "Oslo"}},
        ]
        streamed = client.post("/chat/stream", json={"message": "Work", "tool_calls": calls}).raise_for_status()
        events = events_of(streamed)
        tools = [event for event in events if event["type"] in {"tool_result", "tool_error"}]
        assert [event.get("code", "ran") for event in tools] == [
            "ran", "denied", "invalid_params", "not_found", "ran", "outside_workspace",
        ]  # fmt: skip
        assert tools[0]["data"] == {"city": "Oslo", "sky": "snow", "station": "station [secret]"}
        message = 'Say "hi"\nand \U0001f99c'
        answer = events_of(client.post("/chat/stream", json={"message": message}).raise_for_status())
        text = "".join(event["token"] for event in answer if event["type"] == "token")
        assert text == f"Squawk: {message}"
        row = client.get(f"/tools/executions/{tools[0]['execution_id']}").raise_for_status().json()
        assert row["confinement"] == "plug-in orchestrator-weather"
        speech = client.post("/speech/synthesis", json={"text": "one two", "provider": "beep", "format": "wav"})
        assert speech.raise_for_status().content[:4] == b"RIFF"
        assert SECRET not in streamed.text + str(row)
    assert [path.read_text() for path in tmp_path.glob("workspaces/**/note.txt")] == ["Oslo: snow\n"]


def test_installed_template_is_not_loaded_unless_it_is_allowed(installed: Path, tmp_path: Path) -> None:
    listed = manage(tmp_path, "list_tools", "--json", PYTHONPATH=str(installed))
    assert "fs.read" in listed.stdout
    assert "weather" not in listed.stdout


async def run() -> str:
    """Run."""
    return ""


def test_network_tool_of_a_plug_in_taints_its_run(tmp_path: Path) -> None:
    spec = ToolsSpec(make=lambda values, workspace: [tool("a.b", "network", run), tool("a.c", "read", run)])
    made = PluginTools(package="acme", spec=spec, values={}).tools(Workspace(tmp_path))
    assert [each.taints for each in made] == ["web", None]


def broken(values: Values, workspace: Workspace) -> list[Tool]:
    raise KeyError("city")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (broken, r"the tools of the plug-in acme cannot be made \(KeyError: 'city'\)"),
        (lambda values, workspace: None, "cannot be made"),
        (lambda values, workspace: ["weather"], "must be a Tool"),
        (lambda values, workspace: [tool("weather", "read", run)], "a dot in its name: weather"),
        (lambda values, workspace: [tool("mcp.wiki.page", "read", run)], "not begin with mcp"),
        (lambda values, workspace: [tool(f"a.{'x' * 80}", "read", run)], "at most 80 letters"),
        (lambda values, workspace: [tool("a.b", "Network", run)], "one of the effects read, write, execute, network"),
        (lambda values, workspace: [tool("a.b", "read", run, taints="Web")], "one of the taints web, mcp"),
    ],
)
def test_tools_that_cannot_be_made_are_reported(make: object, problem: str, tmp_path: Path) -> None:
    spec = msgspec.structs.replace(ToolsSpec(make=broken), make=make)
    with pytest.raises(PluginBroken, match=problem):
        PluginTools(package="acme", spec=spec, values={}).tools(Workspace(tmp_path))
