"""The tool for commands, in a workspace that a test file describes as `base`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.commands.terminals import terminal_of
from tools.base import Tool
from tools.workspace import Workspace

Make = Callable[..., Tool]


@pytest.fixture
def make(base: Path, tmp_path: Path) -> Iterator[Make]:
    """Return a function that creates the tool with the given limits."""
    workspace = Workspace(base)
    yield lambda **limits: terminal_of(workspace, tmp_path / "temporary", **limits)
    workspace.close()
