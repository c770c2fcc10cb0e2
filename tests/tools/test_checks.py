"""System checks of the tools.

Covers `tools.resources`.
"""

from pathlib import Path

import pytest
from pytest_django import Settings

from tools import assembly, conf
from tools.base import Tool, tool
from tools.checks import check_encoding, check_policy, check_tools, check_workspace
from tools.plugins.spec import PluginTools, ToolsSpec
from tools.policy import parse


def test_file_names_that_are_not_utf_8_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_encoding() == []
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    (found,) = check_encoding()
    assert (found.id, "as iso8859-1" in found.msg) == ("tools.E002", True)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("TOOL_OUTPUT_DIR", "the long outputs of tools"),
        ("INDEX_DIR", "the indexes of workspaces"),
        ("ENV_PATH", "the service's settings"),
        ("SECRET_KEY_PATH", "its secret key"),
        ("BASE_DIR", "the service's own code"),
    ],
)
def test_workspace_that_contains_service_files_is_rejected(
    settings: Settings, tmp_path: Path, setting: str, what: str
) -> None:
    settings.ALLOW_FS_BASE = tmp_path / "base"
    assert check_workspace() == []
    setattr(settings, setting, tmp_path / "base" / "deep" / "inside")
    (found,) = check_workspace()
    assert (found.id, what in found.msg) == ("tools.E001", True)


def test_workspace_that_contains_the_database_is_rejected(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOW_FS_BASE = tmp_path
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "orchestrator.db"))
    (found,) = check_workspace()
    assert "the service's own database" in found.msg


def test_link_to_the_service_is_resolved(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(settings.BASE_DIR)
    settings.ALLOW_FS_BASE = tmp_path / "link"
    assert {message.id for message in check_workspace()} == {"tools.E001"}


def test_workspace_within_the_code_is_rejected(settings: Settings) -> None:
    settings.ALLOW_FS_BASE = Path(settings.BASE_DIR) / "tools" / "workspace"
    assert [message.id for message in check_workspace()] == ["tools.E001"]


def test_policy_rule_without_a_matching_tool_is_reported(settings: Settings) -> None:
    settings.TOOL_POLICY = parse("deny fs.*; ask fs.wirte")
    (found,) = check_policy()
    assert (found.id, "'fs.wirte'" in found.msg) == ("tools.W001", True)


@pytest.mark.parametrize("folder", ["spending", "telemetry", "benchmarks", "web", "console", "tests", ".github"])
def test_each_folder_of_the_services_code_is_refused_as_a_workspace(settings: Settings, folder: str) -> None:
    settings.ALLOW_FS_BASE = Path(settings.BASE_DIR) / folder
    (found,) = check_workspace()
    assert "the service's own code" in found.msg


def test_workspace_with_modules_is_no_code_of_the_service(settings: Settings, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    settings.ALLOW_FS_BASE = tmp_path / "workspaces"
    settings.ALLOW_FS_BASE.mkdir()
    for name in ("__init__.py", "words.py"):
        (settings.ALLOW_FS_BASE / name).touch()
    assert check_workspace() == []
    settings.ALLOW_FS_BASE = tmp_path / "web"
    settings.ALLOW_FS_BASE.mkdir()
    assert [message.id for message in check_workspace()] == ["tools.E001"]


def test_every_package_is_known_as_code(settings: Settings) -> None:
    packages = {path.parent.name for path in Path(settings.BASE_DIR).glob("*/__init__.py")}
    assert (packages | {"clients"}) - {"workspaces"} <= settings.CODE_FOLDERS


async def run() -> str:
    """Run."""
    return ""


@pytest.mark.parametrize(
    ("made", "found", "problem"),
    [
        ([tool("fs.read", "read", run)], "tools.E005", "Registered twice: fs.read"),
        ([tool("a.b", "read", run)] * 2, "tools.E005", "Registered twice: a.b"),
        ([tool("weather", "read", run)], "tools.E005", "must be a Tool with a dot in its name"),
        ([tool("fs_read.a", "read", run), tool("fs.read_a", "read", run)], "tools.E003", "the same name for models"),
    ],
)
def test_plug_in_whose_tools_cannot_be_offered_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, made: list[Tool], found: str, problem: str
) -> None:
    plugin = PluginTools(package="acme", spec=ToolsSpec(make=lambda values, workspace: made), values={})
    monkeypatch.setattr(conf, "plugins", lambda: (plugin,))
    monkeypatch.setattr(assembly, "registry", assembly.registry.__wrapped__)
    (fault,) = check_tools()
    assert (fault.id, problem in fault.msg) == (found, True)
    assert assembly.names() == () or found == "tools.E003"
