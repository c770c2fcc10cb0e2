"""A workspace with a repository in it, and git's tools on them, in this machine's own sandbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.git.building import Built
from tools.git.limits import Limits
from tools.git.running import Runner
from tools.workspace import Workspace

QUICK = Limits(max_seconds=5)


@pytest.fixture(scope="session", autouse=True)
def confined(kernel: None) -> None:
    """Run each test in the sandbox of the kernel."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(base: Path) -> Iterator[Workspace]:
    workspace = Workspace(base)
    yield workspace
    workspace.close()


@pytest.fixture
def runner(workspace: Workspace) -> Runner:
    return Runner(workspace, limits=QUICK)


@pytest.fixture
def repository(base: Path) -> Built:
    """Create an empty repository that is the workspace itself."""
    return Built.new(base)
