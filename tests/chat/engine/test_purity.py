"""The engine and its tests run when Django and every network library are blocked."""

import os
import subprocess
import sys

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"django", "ninja", "channels", "aiohttp", "httpx", "httpx2", "openai", "google"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""


def run(code: str) -> None:
    # The options of the run that this test is part of, such as coverage, are not for the inner one.
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [sys.executable, "-c", BLOCK + code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pure_modules_import_without_django() -> None:
    run(
        "import chat.engine.loop, chat.wire.sse, chat.wire.responses, chat.wire.ui_messages, chat.wire.ag_ui, "
        "web.strict_json, chat.providers.scripted"
    )
    run(
        "import tools.base, tools.registry, tools.output.rendering, tools.builtin.fs, "
        "access.network.host_check, access.caller"
    )
    run(
        "import access.keys.key_format, access.scopes, access.limits.budgets, access.limits.rates, "
        "access.network.proxies, web.errors"
    )


def test_engine_tests_pass_without_django() -> None:
    plugins = ["-p", "no:django", "-p", "no:langsmith_plugin", "-p", "no:cacheprovider"]
    arguments = ["-q", *plugins, "-o", "addopts=", "-o", "DJANGO_SETTINGS_MODULE="]
    files = [f"tests/chat/engine/{name}.py" for name in ("test_loop", "context/test_window", "test_transcript")]
    options = ["--noconftest", "-W", "ignore::pytest.PytestConfigWarning"]
    run(f"import pytest; sys.exit(pytest.main({[*arguments, *options, *files]!r}))")
