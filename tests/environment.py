"""The environment of every test, set before Django reads it: no key, no `.env`, no settings of the developer."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
# The workers of pytest-xdist inherit the folder of the process that starts them.
SHARED = Path(os.environ.setdefault("ORCHESTRATOR_TESTS_SHARED", str(FOLDER)))

# Tests start many processes. Their byte code is compiled once, whatever the shell of the developer sets.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

for vendor in ("OPENAI", "GEMINI", "ANTHROPIC"):
    os.environ.pop(f"{vendor}_API_KEY", None)
    os.environ.pop(f"{vendor}_BASE_URL", None)
for name in ("API_KEY", "DEFAULT_MODEL", "GIT_REMOTES_ALLOWED", "GIT_TOKENS", "GITHUB_TOKEN", "GITLAB_TOKEN"):
    os.environ.pop(name, None)

os.environ.update(
    ENV_FILE=os.devnull,
    SECRET_KEY="not-a-secret",
    # Tests that start a service process of its own choose a database of their own.
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL") or str(FOLDER / "orchestrator.db"),
    ALLOW_FS_BASE=str(FOLDER / "workspaces"),
    TOOL_OUTPUT_DIR=str(FOLDER / "tool_outputs"),
    LOG_LEVEL="warning",
    # Its threads spin. Those of several test processes would starve each other.
    LOCAL_MODEL_THREADS="1",
)


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
