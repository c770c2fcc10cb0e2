"""Packages that `PLUGINS` allows, and those that cannot be used.

Covers `orchestrator_site.environment.plugin_settings` and `plugins.setting`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from orchestrator_site.environment.plugin_settings import Plugins, plugins
from orchestrator_site.environment.variables import Environment
from plugins.packages import allowed_plugins

TOOLS = """
from plugins.setting import Setting
from tools.base import tool
from tools.plugins.spec import ToolsSpec

async def run() -> str:
    "Run."
    return ""

def make(values, workspace):
    return [tool("acme.run", "read", run)]

KEY = Setting(name="ACME_KEY", kind="secret")
SIZE = Setting(name="ACME_SIZE", kind="integer", default=1, maximum=9)
TOOLS = ToolsSpec(make=make, settings=(KEY, SIZE))
"""
PROVIDER = """
from chat.providers.spec import ProviderSpec

SPEC = ProviderSpec(name="{name}", settings=(), make=None, missing=lambda values: "")
"""
SPEECH = """
from speech.providers.spec import SpeechSpec

SPEC = SpeechSpec(name="{name}", make=None)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a package with a module and entry points into it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(package: str, module: str, source: str, **groups: str) -> None:
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        entries = "".join(f"[orchestrator_service.{group}]\nx = {module}:{name}\n" for group, name in groups.items())
        (info / "entry_points.txt").write_text(entries)

    return make


def load(text: str, **variables: str) -> Plugins:
    return plugins(Environment({"PLUGINS": text, **variables}), "PLUGINS")


def test_nothing_is_imported_from_a_package_that_is_not_allowed(install: Install) -> None:
    install("acme-plugin", "acme_loud", "raise SystemExit('imported')", tools="TOOLS")
    assert load("") == Plugins()
    with pytest.raises(ImproperlyConfigured, match=r"no installed package 'other' .*: acme-plugin\."):
        load("other")


@pytest.mark.parametrize("name", ["acme-plugin", "Acme_Plugin", "acme.plugin", " acme-plugin , acme-plugin"])
def test_package_is_allowed_by_any_spelling_of_its_name(install: Install, name: str) -> None:
    install("acme-plugin", "acme_tools", TOOLS, tools="TOOLS")
    (found,) = load(name, ACME_KEY="s3cr3t-key").tools
    assert (found.package, found.values) == ("acme-plugin", {"ACME_KEY": "s3cr3t-key", "ACME_SIZE": 1})


def test_settings_are_checked_and_secrets_are_masked(install: Install) -> None:
    install("acme-plugin", "acme_tools", TOOLS, tools="TOOLS")
    assert load("acme-plugin", ACME_KEY="s3cr3t-key").secrets == ("s3cr3t-key",)
    with pytest.raises(ImproperlyConfigured, match="ACME_SIZE"):
        load("acme-plugin", ACME_SIZE="10")


def test_one_package_adds_providers_of_models_and_of_speech_with_one_name(install: Install) -> None:
    source = PROVIDER.format(name="acme") + SPEECH.format(name="acme").replace("SPEC =", "VOICE =")
    install("acme-plugin", "acme_all", source, providers="SPEC", speech="VOICE")
    assert load("acme-plugin").names == ("acme", "acme")


@pytest.mark.parametrize(
    ("source", "group", "problem"),
    [
        ("import nowhere_at_all", "tools", r"cannot be imported \(ModuleNotFoundError"),
        ("raise ValueError('a\\nb')", "tools", r"cannot be imported \(ValueError: a b\)"),
        ("1 / 0", "tools", r"cannot be imported \(ZeroDivisionError"),
        ("", "tools", r"cannot be imported \(AttributeError"),
        ("SPEC = 3", "tools", "must be a ToolsSpec, and is a int"),
        (PROVIDER.format(name="x"), "tools", "must be a ToolsSpec, and is a ProviderSpec"),
        (PROVIDER.format(name="openai"), "providers", "name 'openai' .* is taken"),
        (SPEECH.format(name="google"), "speech", "name 'google' .* is taken"),
        (SPEECH.format(name="x"), "providers", "must be a ProviderSpec"),
    ],
)
def test_broken_plug_in_is_one_sentence_for_the_operator(
    install: Install, source: str, group: str, problem: str
) -> None:
    install("acme-plugin", "acme_broken", source, **{group: "SPEC"})
    with pytest.raises(ImproperlyConfigured, match=rf"^PLUGINS: the .*{problem}.*\.$"):
        load("acme-plugin")


def test_two_packages_cannot_have_a_provider_of_one_name(install: Install) -> None:
    for package in ("one", "two"):
        install(package, f"acme_{package}", PROVIDER.format(name="acme"), providers="SPEC")
    with pytest.raises(ImproperlyConfigured, match=r"'acme' .* is taken"):
        load("one, two")


def test_plug_ins_come_in_the_order_of_the_setting(install: Install) -> None:
    for package in ("one", "two"):
        install(package, f"acme_{package}", PROVIDER.format(name=package), providers="SPEC")
    assert [plugin.package for plugin in allowed_plugins(["two", "one"])] == ["two", "one"]
