"""A repository in a workspace, and the tools that change it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from spending.accounts import Payer
from tests.tools.git.building import Built
from tests.tools.git.conftest import base as base
from tests.tools.git.conftest import confined as confined
from tests.tools.git.conftest import workspace as workspace
from tools.base import Execution, Permits, Tool
from tools.builtin import git_write
from tools.committing.identity import Identity
from tools.git.running import Runner
from tools.workspace import Workspace

Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Create a repository with one commit on `main`, and one more on `other`."""
    built = Built.new(tmp_path_factory.mktemp("original") / "r")
    built.write("a.txt", "one\n")
    built.write("docs/b.txt", "one\n")
    built.commit("first")
    built.git("switch", "--quiet", "--create", "other")
    built.write("a.txt", "two\n")
    built.write("new.txt", "two\n")
    built.commit("second")
    built.git("switch", "--quiet", "main")
    return built


@pytest.fixture
def repository(base: Path, original: Built) -> Built:
    """Copy the repository to the folder `r` of the workspace."""
    return Built.copy(original, base / "r")


@pytest.fixture
def tools(workspace: Workspace) -> dict[str, Tool]:
    identity = Identity(name="Agent of {owner}", email="{owner}@example.org")
    return {tool.name: tool for tool in git_write.tools(Runner(workspace), identity)}


@pytest.fixture
def call(tools: dict[str, Tool]) -> Call:
    """Return a function that calls a tool by its name."""

    async def run(name: str, permits: Permits | None = None, **params: Any) -> Any:
        tool = tools[f"git.{name}"]

        async def emit(*_: Any) -> None:
            pass

        execution = Execution(payer=Payer(owner="user:7"), emit=emit, permits=permits)
        return await tool.run(tool.params(**params), execution)

    return run
