"""A workspace, opened by each of the methods that a machine may support."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.workspace import KernelOpener, WalkOpener, Workspace
from tools.workspace.confinement.opening import Opener


@pytest.fixture(params=[KernelOpener, WalkOpener], ids=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    made: Opener = request.param()
    return made


@pytest.fixture
def workspace(tmp_path: Path, opener: Opener) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path, opener=opener)
    yield workspace
    workspace.close()
