"""The version is written in one file, `pyproject.toml`."""

import re
import tomllib
from pathlib import Path

from django.conf import settings

from orchestrator_site.api import api

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_settings_and_api_take_the_version_from_pyproject() -> None:
    assert PROJECT["version"] == settings.VERSION
    assert api.version == PROJECT["version"]


def test_no_module_repeats_the_version() -> None:
    apps = (folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists() and folder.name != "tests")
    modules = (module for app in apps for module in app.rglob("*.py"))
    quoted = re.compile(rf"[\"']{re.escape(PROJECT['version'])}[\"']")
    assert [str(module) for module in modules if quoted.search(module.read_text())] == []


def test_changelog_has_no_later_version() -> None:
    released = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    current = tuple(map(int, PROJECT["version"].split(".")))
    assert all(tuple(map(int, version)) <= current for version in released)


def test_licence_text_is_the_one_that_pyproject_names() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert (ROOT / "LICENSE").read_text().split()[:4] == ["Apache", "License", "Version", "2.0,"]
